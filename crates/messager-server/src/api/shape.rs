//! How the fields of a body may be written.
//!
//! `Content` is taken for `content`, and in Pass `identityKey` for
//! `identity_key`. Which fields there are is read from the body's own schema, so
//! nobody has to list them. Whatever clients put into `meta` is left as it is.

use std::{
    any::TypeId,
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value};

use crate::wire::Input;

/// What may stand in a place of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Fields, by how they may be written.
    Fields(BTreeMap<String, (String, Shape)>),
    /// As many of these as there are.
    List(Box<Shape>),
    /// Anything.
    Any,
}

/// Shapes that were asked for before. There are as many as there are bodies.
static KNOWN: RwLock<BTreeMap<TypeId, Arc<Shape>>> = RwLock::new(BTreeMap::new());

impl Shape {
    /// That of a body. It is made once.
    pub(super) fn of<T: Input>() -> Arc<Self> {
        let kind = TypeId::of::<T>();
        let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner).get(&kind).cloned();
        known.unwrap_or_else(|| {
            let shape = Arc::new(Self::made::<T>(T::CAMEL_CASE_TOO));
            let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
            known.entry(kind).or_insert(shape).clone()
        })
    }

    fn made<T: JsonSchema>(camel_case_too: bool) -> Self {
        let settings = SchemaSettings::draft2020_12().for_deserialize();
        let settings = settings.with(|settings| settings.inline_subschemas = true);
        let schema = settings.into_generator().into_root_schema_for::<T>();
        Self::in_schema(schema.as_value(), camel_case_too)
    }

    fn in_schema(schema: &Value, camel_case_too: bool) -> Self {
        if let Some(Value::Object(fields)) = schema.get("properties") {
            let fields = fields.iter().map(|(name, schema)| {
                (key(name, camel_case_too), (name.clone(), Self::in_schema(schema, camel_case_too)))
            });
            return Self::Fields(fields.collect());
        }
        match schema.get("items") {
            Some(items) => Self::List(Box::new(Self::in_schema(items, camel_case_too))),
            None => Self::Any,
        }
    }

    /// A body with its fields as they are called here. Of several that are
    /// called the same, the last counts.
    pub(super) fn fit(&self, value: Value, camel_case_too: bool) -> Value {
        match (self, value) {
            (Self::Fields(fields), Value::Object(found)) => {
                let mut fitted = Map::new();
                for (name, value) in found {
                    if let Some((name, shape)) = fields.get(&key(&name, camel_case_too)) {
                        fitted.insert(name.clone(), shape.fit(value, camel_case_too));
                    }
                }
                Value::Object(fitted)
            }
            (Self::List(shape), Value::Array(items)) => Value::Array(
                items.into_iter().map(|item| shape.fit(item, camel_case_too)).collect(),
            ),
            (_, value) => value,
        }
    }
}

fn key(name: &str, camel_case_too: bool) -> String {
    let name = name.to_lowercase();
    match camel_case_too {
        true => name.replace('_', ""),
        false => name,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::{DistributeBody, SendBody};

    #[test]
    fn underscores_count_in_messages_and_case_does_not() {
        let shape = Shape::of::<SendBody>();
        let body = json!({ "Content": 1, "CLIENT_MESSAGE_ID": 2, "isEncrypted": 3, "other": 4 });
        assert_eq!(shape.fit(body, false), json!({ "content": 1, "client_message_id": 2 }));
    }

    #[test]
    fn pass_takes_camel_case_also_inside_of_lists_and_never_rewrites_meta() {
        let shape = Shape::of::<DistributeBody>();
        let body = json!({
            "groupId": "g", "items": [{ "recipientId": 1, "meta": { "aB": { "cD": 1 } } }, 5],
        });
        let fitted = json!({
            "group_id": "g", "items": [{ "recipient_id": 1, "meta": { "aB": { "cD": 1 } } }, 5],
        });
        assert_eq!(shape.fit(body, true), fitted);
        assert_eq!(shape.fit(json!([1]), true), json!([1]));
    }
}
