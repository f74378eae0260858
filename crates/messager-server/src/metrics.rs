//! What is counted, for Prometheus. Nothing here names an account or a room.

use std::fmt;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// Which requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: String,
    /// The pattern of the route; empty if there is none.
    route: String,
    status: u16,
}

/// Upper bounds of a request's time, in seconds.
const BOUNDS: [f64; 10] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

/// Everything that is counted.
#[derive(Debug)]
pub(crate) struct Counts {
    registry: Registry,
    requests: Family<Request, Counter>,
    seconds: Histogram,
    /// Rows that were written to timelines.
    pub rows: Counter,
    /// Packets that were put into the lines of sockets.
    pub packets: Counter,
    /// Connections that are open, websockets among them.
    pub connections: Gauge,
    /// Sockets that are open.
    pub sockets: Gauge,
    /// Sockets that were closed because they did not keep up.
    pub sockets_slow: Counter,
    /// Pushes that the webhook took.
    pub pushes_sent: Counter,
    /// Pushes that nobody took.
    pub pushes_dropped: Counter,
    /// Links that were looked at.
    pub previews: Counter,
    /// Links that led to nothing that can be shown, or where we do not go.
    pub previews_failed: Counter,
}

impl Default for Counts {
    fn default() -> Self {
        let mut counts = Self {
            registry: Registry::with_prefix("messager"),
            requests: Family::default(),
            seconds: Histogram::new(BOUNDS),
            rows: Counter::default(),
            packets: Counter::default(),
            connections: Gauge::default(),
            sockets: Gauge::default(),
            sockets_slow: Counter::default(),
            pushes_sent: Counter::default(),
            pushes_dropped: Counter::default(),
            previews: Counter::default(),
            previews_failed: Counter::default(),
        };
        let registry = &mut counts.registry;
        registry.register("requests", "Requests by route and status", counts.requests.clone());
        let help = "How long requests took";
        registry.register("request_seconds", help, counts.seconds.clone());
        registry.register("rows", "Rows written to timelines", counts.rows.clone());
        let help = "Packets handed to websockets";
        registry.register("packets", help, counts.packets.clone());
        let help = "Connections that are open, websockets among them";
        registry.register("connections", help, counts.connections.clone());
        registry.register("sockets", "Websockets that are open", counts.sockets.clone());
        let help = "Websockets closed because they did not keep up";
        registry.register("sockets_slow", help, counts.sockets_slow.clone());
        registry.register("pushes_sent", "Pushes the webhook took", counts.pushes_sent.clone());
        let help = "Pushes given up, or without a place in the queue";
        registry.register("pushes_dropped", help, counts.pushes_dropped.clone());
        registry.register("previews", "Links that were looked at", counts.previews.clone());
        let help = "Links with nothing to show, or where the server does not go";
        registry.register("previews_failed", help, counts.previews_failed.clone());
        counts
    }
}

impl Counts {
    /// Counts a request.
    pub(crate) fn request(&self, method: &str, route: &str, status: u16, seconds: f64) {
        // A client may make up methods without end.
        let known = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];
        let method = known.into_iter().find(|known| *known == method).unwrap_or("other");
        let labels = Request { method: method.to_owned(), route: route.to_owned(), status };
        self.requests.get_or_create(&labels).inc();
        self.seconds.observe(seconds);
    }

    /// Everything, in the text format of OpenMetrics.
    ///
    /// # Errors
    ///
    /// When a text cannot be written; never, by what is here.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
