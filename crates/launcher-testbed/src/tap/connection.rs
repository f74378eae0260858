//! One connection of a client, and the exchanges on it.

use std::{io::Write, net::TcpStream, sync::Arc};

use super::{
    Action, Hook, Outcome, Point, Request, Shared,
    http1::{self, Message},
    lock,
    owners::{self, TokenHash},
    rules::Entry,
    sockets::Socket,
    upstream::{NoAnswer, Upstream},
};

/// Serves a client until one side closes the connection.
pub(super) fn serve(shared: &Arc<Shared>, client: TcpStream) {
    let Ok(client) = shared.sockets.admit(client) else { return };
    let mut reader = client.reader();
    let mut upstream = None;
    while let Ok(Some(message)) = http1::read_request(&mut reader, client.stream()) {
        let mut exchange = Exchange::begin(shared, &client, &mut upstream, &message);
        if exchange.run().is_err() || !message.keeps_alive {
            return;
        }
    }
}

/// One request and its answer.
struct Exchange<'a> {
    shared: &'a Arc<Shared>,
    client: &'a Socket,
    upstream: &'a mut Option<Upstream>,
    message: &'a Message,
    token: Option<&'a str>,
    /// What the rules and the log see.
    request: Request,
    /// What the homeserver is to be given.
    body: Vec<u8>,
    is_cut: bool,
}

impl<'a> Exchange<'a> {
    fn begin(
        shared: &'a Arc<Shared>,
        client: &'a Socket,
        upstream: &'a mut Option<Upstream>,
        message: &'a Message,
    ) -> Self {
        let [method, target, _] = &message.start;
        let token = owners::token_of(message.header("authorization"), target);
        let mut request = Request::new(method, target);
        request.owner = token.map(|token| shared.owners.name(TokenHash::of(token)));
        request.body = owners::redacted(&message.body, token);
        shared.log.begin(&mut request);
        let body = message.body.clone();
        Self { shared, client, upstream, message, token, request, body, is_cut: false }
    }

    /// Goes through the exchange; an error says why the connection is to be
    /// closed.
    fn run(&mut self) -> Result<(), Outcome> {
        let delivered = self.answer();
        let hooks = if delivered.is_ok() { self.hooks_after_delivery() } else { Vec::new() };
        self.shared.log.finish(&mut self.request, delivered.err().unwrap_or(Outcome::Delivered));
        for (rule, hook) in hooks {
            self.call_at_the_end(&rule, hook)?;
        }
        delivered
    }

    /// Sees to it that the client has a whole answer; an error says why it has
    /// not.
    fn answer(&mut self) -> Result<(), Outcome> {
        let answer = match self.before_forwarding()? {
            Some(answer) => answer,
            None => {
                let answer = self.forward()?;
                self.after_response(answer)?
            }
        };
        self.note(&answer);
        self.deliver(&answer)
    }

    /// Applies the rules for the request; an answer of theirs is for the client.
    fn before_forwarding(&mut self) -> Result<Option<Message>, Outcome> {
        for rule in self.shared.rules.at(Point::BeforeForwarding) {
            if !self.takes(&rule) {
                continue;
            }
            match &rule.action {
                Action::DropBefore => return Err(Outcome::Dropped),
                Action::Status(answer) => return Ok(Some(to_message(answer))),
                Action::RewriteRequest(rewrite) => {
                    if let Some(body) = rewrite.apply(&self.body) {
                        self.body = body;
                    }
                }
                other => self.linger(&rule, other)?,
            }
        }
        Ok(None)
    }

    fn forward(&mut self) -> Result<Message, Outcome> {
        let answer = self.ask_upstream();
        if !matches!(&answer, Ok(answer) if answer.keeps_alive) {
            *self.upstream = None;
        }
        let answer = answer.map_err(|no_answer| match no_answer {
            _ if self.shared.sockets.is_closed() => Outcome::TapGone,
            NoAnswer::UpstreamGone => Outcome::UpstreamGone,
            NoAnswer::ClientGone => Outcome::ClientGone,
        })?;
        self.shared.rename(self.shared.owners.learn(
            &self.request,
            self.token.map(TokenHash::of),
            &answer.body,
        ));
        self.request.server_answered = true;
        self.note(&answer);
        Ok(answer)
    }

    fn ask_upstream(&mut self) -> Result<Message, NoAnswer> {
        let address = lock(&self.shared.upstream).clone();
        let upstream = match self.upstream.take() {
            Some(upstream) if upstream.is_usable_for(&address) => upstream,
            _ => Upstream::connect(address, &self.shared.sockets)?,
        };
        let upstream = self.upstream.insert(upstream);
        upstream.send(self.message, &self.body)?;
        upstream.receive(&self.request.method, self.client)
    }

    /// Applies the rules for the answer and returns what is left for the client.
    fn after_response(&mut self, mut answer: Message) -> Result<Message, Outcome> {
        for rule in self.shared.rules.at(Point::AfterResponse) {
            // What was asked cannot be changed anymore.
            if matches!(rule.action, Action::RewriteRequest(_)) || !self.takes(&rule) {
                continue;
            }
            match &rule.action {
                Action::DropBefore | Action::DropAfter => return Err(Outcome::Dropped),
                Action::Status(other) => return Ok(to_message(other)),
                Action::CutBody => {
                    self.is_cut = true;
                    return Ok(answer);
                }
                Action::Rewrite(rewrite) => {
                    if let Some(body) = rewrite.apply(&answer.body) {
                        answer.body = body;
                        self.note(&answer);
                    }
                }
                other => self.linger(&rule, other)?,
            }
        }
        Ok(answer)
    }

    /// Gives the client the answer, or half of it.
    fn deliver(&self, answer: &Message) -> Result<(), Outcome> {
        let status = &answer.start[1];
        let mut wire = if http1::has_no_body(&self.request.method, status) {
            let length = answer.header("content-length").and_then(|length| length.parse().ok());
            answer.head(&[], length)
        } else {
            answer.head(&[], Some(answer.body.len()))
        };
        let end = if self.is_cut { answer.body.len() / 2 } else { answer.body.len() };
        wire.extend_from_slice(&answer.body[..end]);
        let mut client: &TcpStream = self.client.stream();
        // What is written to a client that was killed in the meantime would
        // seem to have arrived.
        if self.client.is_gone() || client.write_all(&wire).is_err() {
            let is_closed = self.shared.sockets.is_closed();
            return Err(if is_closed { Outcome::TapGone } else { Outcome::ClientGone });
        }
        if self.is_cut { Err(Outcome::Cut) } else { Ok(()) }
    }

    fn hooks_after_delivery(&mut self) -> Vec<(Arc<Entry>, Hook)> {
        let mut hooks = Vec::new();
        for rule in self.shared.rules.at(Point::AfterDelivery) {
            let Action::Hook(hook) = &rule.action else { continue };
            if self.takes(&rule) {
                let hook = hook.clone();
                hooks.push((rule, hook));
            }
        }
        hooks
    }

    /// Whether a rule is to be applied; if so, the log says that it was.
    fn takes(&mut self, rule: &Entry) -> bool {
        if !rule.applies_to(&self.request) {
            return false;
        }
        self.request.rules.push(rule.to_string());
        self.publish();
        if !matches!(rule.action, Action::Hook(_)) {
            rule.count_hit();
        }
        true
    }

    /// Does what takes time and changes nothing.
    fn linger(&self, rule: &Entry, action: &Action) -> Result<(), Outcome> {
        match action {
            Action::Delay(delay) => self.shared.pause(*delay),
            Action::HoldBefore(gate) | Action::HoldAfter(gate) => self.shared.hold(gate),
            Action::Hook(hook) => self.call(rule, hook),
            _ => Ok(()),
        }
    }

    fn call(&self, rule: &Entry, hook: &Hook) -> Result<(), Outcome> {
        self.shared.pause(hook.delay)?;
        (hook.call)(&self.request);
        rule.count_hit();
        Ok(())
    }

    /// Calls a hook for which nothing has to wait unless it comes at once.
    fn call_at_the_end(&self, rule: &Arc<Entry>, hook: Hook) -> Result<(), Outcome> {
        if hook.delay.is_zero() {
            return self.call(rule, &hook);
        }
        let (shared, rule, request) =
            (Arc::clone(self.shared), Arc::clone(rule), self.request.clone());
        let work = move || {
            if shared.pause(hook.delay).is_ok() {
                (hook.call)(&request);
                rule.count_hit();
            }
        };
        // Without a thread the hook is not called, and nobody counts a hit.
        drop(self.shared.spawn(work));
        Ok(())
    }

    /// Lets the log and the rules see an answer.
    fn note(&mut self, answer: &Message) {
        self.request.status = Some(answer.status());
        self.request.response = owners::redacted(&answer.body, self.token);
        self.publish();
    }

    fn publish(&mut self) {
        self.request.owner = self.token.map(|token| self.shared.owners.name(TokenHash::of(token)));
        self.shared.log.update(&self.request);
    }
}

impl Drop for Exchange<'_> {
    /// A hook that fails ends the exchange; the log must not call it open.
    fn drop(&mut self) {
        if !self.request.is_finished() {
            self.shared.log.finish(&mut self.request, Outcome::Dropped);
        }
    }
}

fn to_message(answer: &super::Answer) -> Message {
    Message::answer(answer.code, answer.headers.clone(), answer.body.to_string().into_bytes())
}
