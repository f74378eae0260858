//! HTTP: requests to values, values to answers.

mod accounts;
mod answer;
mod around;
mod at;
mod body;
mod login;
mod members;
mod messages;
mod openapi;
mod operations;
mod pass;
mod query;
mod rooms;
mod routes;
mod shape;
mod voice;

pub use self::openapi::document;
pub(crate) use self::{
    answer::told,
    body::value_of,
    login::{Login, hash},
    query::Query,
    routes::router,
};
