//! Bodies that are too large, on each route that takes one.

use reqwest::{Method, header::CONTENT_TYPE};
use serde_json::Value;

use crate::world::{World, ask};

/// Routes that take a body, and how many KiB of it; from the API's document.
fn routes() -> Vec<(Method, String, usize)> {
    let document = messager_server::openapi();
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, about) in methods.as_object().unwrap() {
            let Some(text) = about["requestBody"]["description"].as_str() else { continue };
            let number = text.strip_prefix("At most ").unwrap().strip_suffix(" KiB").unwrap();
            let method = method.to_uppercase().parse().unwrap();
            routes.push((method, path.clone(), number.parse().unwrap()));
        }
    }
    routes
}

#[tokio::test]
async fn each_route_takes_a_body_as_large_as_it_says_and_no_larger() {
    let world = World::start().await;
    let alice = world.person("alice");
    let routes = routes();
    assert!(routes.len() > 15, "{routes:?}");
    for (method, path, most) in routes {
        let path = path.split('/').map(|part| match part.starts_with('{') {
            true => "0198c0de-0000-7000-8000-000000000001",
            false => part,
        });
        let path = path.collect::<Vec<_>>().join("/");
        let send = async |letters: usize, person: &crate::world::Person| {
            let request = person.request(method.clone(), &path);
            let request = request.header(CONTENT_TYPE, "application/json");
            ask(request.body(format!("\"{}\"", "x".repeat(letters - 2)))).await
        };
        let good = send(most * 1024, &alice).await;
        assert_eq!(good.status, 400, "{method} {path}: {}", good.text);
        let wrong: Value = good.json();
        assert!(wrong["errors"]["$"].is_array(), "{method} {path}: {wrong}");
        send(most * 1024 + 1, &alice).await.is(413);
        // Of somebody without a token nothing is read at all.
        send(most * 1024 + 1, &world.stranger()).await.is(401);
    }
}

#[tokio::test]
async fn a_voice_clip_is_not_larger_than_two_megabytes() {
    let world = World::start().await;
    let alice = world.person("alice");
    let room = alice.group(0, &[]).await;
    let path = format!("/api/chat/{room}/messages/voice");
    let send = async |bytes: usize| {
        let mut body = b"--b\r\nContent-Disposition: form-data; name=\"File\"; \
                         filename=\"a\"\r\n\r\n"
            .to_vec();
        body.resize(body.len() + bytes, b'x');
        body.extend(b"\r\n--b--\r\n");
        let request = alice.request(Method::POST, &path);
        ask(request.header(CONTENT_TYPE, "multipart/form-data; boundary=b").body(body)).await
    };
    send(2 * 1024 * 1024 - 1024).await.good();
    send(2 * 1024 * 1024).await.is(413);
}
