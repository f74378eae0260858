//! Routes and what is documented about them, in one place: a route that is not
//! documented cannot be made.

use std::sync::Arc;

use axum::{Router, extract::DefaultBodyLimit, routing::MethodRouter};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::{app::App, wire::Input};

/// The most bytes of a body, unless told: the longest texts of a room, as JSON may
/// write them, and what clients put into a field of their own.
const MOST: usize = 64 * 1024;

/// The most bytes of a message or an envelope: a ciphertext, its header and its
/// signature.
pub(super) const SEALED: usize = 512 * 1024;

/// The most bytes of a body at all: a fan-out to hundreds of devices, or a voice clip.
pub(super) const LARGE: usize = 2 * 1024 * 1024;

type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody.
    Open,
    /// Everybody; with a token some are told more.
    Both,
    /// Who has a token.
    Token,
}

/// A route.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    /// The name of its handler.
    pub id: &'static str,
    pub summary: &'static str,
    pub access: Access,
    /// Whether it looks at the client's ability.
    pub is_gated: bool,
    pub query: &'static [(&'static str, &'static str)],
    pub body: Option<(SchemaOf, bool)>,
    /// The most bytes of its body.
    pub most: usize,
    pub status: u16,
    pub answer: Option<SchemaOf>,
    pub refusals: &'static [u16],
}

/// Begins the documentation of a route for those who have a token.
pub(super) fn op(id: &'static str, summary: &'static str) -> Operation {
    Operation {
        id,
        summary,
        access: Access::Token,
        is_gated: false,
        query: &[],
        body: None,
        most: MOST,
        status: 200,
        answer: None,
        refusals: &[],
    }
}

impl Operation {
    pub(super) fn access(self, access: Access) -> Self {
        Self { access, ..self }
    }

    pub(super) fn gated(self) -> Self {
        Self { is_gated: true, ..self }
    }

    pub(super) fn query(self, query: &'static [(&'static str, &'static str)]) -> Self {
        Self { query, ..self }
    }

    pub(super) fn takes<T: Input>(self) -> Self {
        Self { body: Some((|generator| generator.subschema_for::<T>(), true)), ..self }
    }

    pub(super) fn may_take<T: Input>(self) -> Self {
        Self { body: Some((|generator| generator.subschema_for::<T>(), false)), ..self }
    }

    /// Takes a body of more bytes than others do.
    pub(super) fn up_to(self, most: usize) -> Self {
        Self { most, ..self }
    }

    pub(super) fn gives<T: JsonSchema>(self) -> Self {
        Self { answer: Some(|generator| generator.subschema_for::<T>()), ..self }
    }

    pub(super) fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub(super) fn refuses(self, refusals: &'static [u16]) -> Self {
        Self { refusals, ..self }
    }
}

/// How a route is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

/// Routes of one area, and where they begin.
#[derive(Debug)]
pub(super) struct Area {
    /// The first is the one that is documented; the others are the same.
    pub prefixes: &'static [&'static str],
    pub name: &'static str,
    pub routes: Vec<(Method, &'static str, Operation)>,
    router: Router<Arc<App>>,
}

impl Area {
    pub(super) fn new(name: &'static str, prefixes: &'static [&'static str]) -> Self {
        Self { prefixes, name, routes: Vec::new(), router: Router::new() }
    }

    /// Adds a route.
    pub(super) fn on<H, T>(
        mut self,
        method: Method,
        path: &'static str,
        handler: H,
        operation: Operation,
    ) -> Self
    where
        H: axum::handler::Handler<T, Arc<App>>,
        T: 'static,
    {
        for prefix in self.prefixes {
            let full = format!("{prefix}{path}");
            let mut paths = vec![full.as_str()];
            // The list itself is found with a slash behind it and without.
            paths.extend(full.strip_suffix('/'));
            for full in paths {
                let limit = DefaultBodyLimit::max(operation.most);
                let routed = routed(method, handler.clone()).layer(limit);
                self.router = self.router.route(full, routed);
            }
        }
        self.routes.push((method, path, operation));
        self
    }

    pub(super) fn into_router(self) -> Router<Arc<App>> {
        self.router
    }
}

fn routed<H, T>(method: Method, handler: H) -> MethodRouter<Arc<App>>
where
    H: axum::handler::Handler<T, Arc<App>>,
    T: 'static,
{
    use axum::routing::{delete, get, patch, post, put};
    match method {
        Method::Get => get(handler),
        Method::Post => post(handler),
        Method::Put => put(handler),
        Method::Patch => patch(handler),
        Method::Delete => delete(handler),
    }
}
