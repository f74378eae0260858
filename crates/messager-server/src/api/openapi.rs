//! The OpenAPI document, from the routes and the types of their bodies.

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    operations::{Access, Area, Method, Operation},
    routes::areas,
};

/// The document: OpenAPI 3.1, whose schemas are JSON Schema 2020-12.
pub fn document() -> Value {
    // What is read and what is sent have other required fields.
    let settings = || {
        SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
    };
    let mut reading = settings().for_deserialize().into_generator();
    let mut sending = settings().for_serialize().into_generator();
    let mut paths = Map::new();
    for area in areas() {
        for (method, path, operation) in &area.routes {
            let path = full_path(&area, path);
            let described =
                operation_of((&path, *method), &area, operation, (&mut reading, &mut sending));
            let methods = paths.entry(path).or_insert_with(|| json!({}));
            methods[method.as_str()] = described;
        }
    }
    let mut schemas = reading.take_definitions(true);
    schemas.extend(sending.take_definitions(true));
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Messager and Pass",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Chats whose server carries ciphertext only. See docs/guide/messager.md. \
                The packets of `/ws` are described there; `invites.chats` brings an invitation to \
                whom it is for, as it stands in the list of `GET /api/chat/invites`.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "tk": { "type": "apiKey", "in": "query", "name": "tk" },
                "cookie": { "type": "apiKey", "in": "cookie", "name": "AuthToken" },
            },
        },
    });
    // Another crate of the build may have objects keep the order of their making.
    document.sort_all_objects();
    document
}

fn full_path(area: &Area, path: &str) -> String {
    let prefix = area.prefixes.first().copied().unwrap_or_default();
    let full = format!("{prefix}{path}");
    full.strip_suffix('/').unwrap_or(&full).to_owned()
}

fn operation_of(
    (path, method): (&str, Method),
    area: &Area,
    operation: &Operation,
    (reading, sending): (&mut SchemaGenerator, &mut SchemaGenerator),
) -> Value {
    let mut described = json!({
        "operationId": format!("{}_{}", area.name, operation.id),
        "summary": operation.summary,
        "tags": [area.name],
        "parameters": parameters(path, operation),
    });
    if let Some((schema, is_required)) = operation.body {
        let content = json!({ "application/json": { "schema": schema(reading) } });
        let most = format!("At most {} KiB", operation.most / 1024);
        described["requestBody"] =
            json!({ "description": most, "required": is_required, "content": content });
    }
    let token = [json!({ "token": [] }), json!({ "tk": [] }), json!({ "cookie": [] })];
    match operation.access {
        Access::Open => {}
        Access::Both => {
            described["security"] = json!([{}, token[0], token[1], token[2]]);
        }
        Access::Token => described["security"] = json!(token),
    }
    let mut responses = Map::new();
    let mut good = json!({ "description": "Done" });
    if let Some(schema) = operation.answer {
        good["content"] = json!({ "application/json": { "schema": schema(sending) } });
    }
    responses.insert(operation.status.to_string(), good);
    let login = (operation.access == Access::Token).then_some(401);
    let form = (operation.body.is_some() || !operation.query.is_empty()).then_some(400);
    let writes = (method != Method::Get && operation.access == Access::Token).then_some(429);
    let large = operation.body.map(|_| 413);
    for status in login
        .into_iter()
        .chain(form)
        .chain(large)
        .chain(writes)
        .chain(operation.refusals.iter().copied())
    {
        responses.insert(status.to_string(), json!({ "description": meaning(status) }));
    }
    described["responses"] = Value::Object(responses);
    described
}

fn meaning(status: u16) -> &'static str {
    match status {
        400 => "The request does not have the form that it has to have",
        401 => "There is no token, or none that counts",
        403 => "Not allowed",
        404 => "Not there, or not for the one who asks",
        409 => "A rule of encryption: `code` says which",
        413 => "Too many bytes",
        429 => "Too many: `Retry-After` says when the next is taken",
        _ => "Refused",
    }
}

fn parameters(path: &str, operation: &Operation) -> Vec<Value> {
    let in_path = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = in_path.map(|name| {
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
    });
    let in_query = operation.query.iter().map(|(name, about)| {
        let schema = json!({ "type": "string" });
        json!({ "name": name, "in": "query", "description": about, "schema": schema })
    });
    let gate = operation.is_gated.then(|| {
        json!({
            "name": "X-Dyson-Client-Capabilities",
            "in": "header",
            "description": "`chat-e2ee-v1` for encrypted rooms; `X-Client-Ability` is the same",
            "schema": { "type": "string" },
        })
    });
    in_path.chain(in_query).chain(gate).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn the_committed_document_is_what_the_code_says() {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../../docs/reference/messager-openapi.json");
        let made = format!("{:#}\n", document());
        #[expect(clippy::disallowed_methods, reason = "a test, run by hand to write the file anew")]
        if std::env::var("UPDATE_REFERENCE").is_ok() {
            fs_err::write(&path, &made).unwrap();
        }
        let committed = fs_err::read_to_string(&path).unwrap_or_default();
        assert!(
            made == committed,
            "docs/reference/messager-openapi.json is not what the code says: run the test again \
             with UPDATE_REFERENCE=1"
        );
    }

    #[test]
    fn each_reference_leads_to_a_schema() {
        let document = document();
        let text = document.to_string();
        let references = text.split("\"#/components/schemas/").skip(1);
        let mut count = 0;
        for name in references.filter_map(|rest| rest.split('"').next()) {
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
            count += 1;
        }
        assert!(count > 40, "the references were not found");
    }

    #[test]
    fn no_two_routes_have_one_name() {
        let mut names = std::collections::BTreeSet::new();
        for area in areas() {
            for (_, path, operation) in &area.routes {
                assert!(names.insert((area.name, operation.id)), "{path}");
            }
        }
    }
}
