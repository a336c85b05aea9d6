//! An OpenAPI document, and whether an answer is as it says.

use std::collections::BTreeSet;

use serde_json::Value;

/// An OpenAPI document; of JSON Schema it knows what the project's uses.
pub struct Contract {
    document: Value,
    /// The operations, `METHOD path`, of which an answer was checked that is no error.
    pub served: BTreeSet<String>,
}

impl Contract {
    pub fn new(document: Value) -> Self {
        Self {
            document,
            served: BTreeSet::new(),
        }
    }

    /// All operations, `METHOD path`.
    pub fn operations(&self) -> BTreeSet<String> {
        let paths = self.document["paths"].as_object().expect("paths").iter();
        let operations = paths.flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods").keys();
            let methods = methods.filter(|method| *method != "parameters");
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        });
        operations.collect()
    }

    /// Panics if the document does not foresee this answer to a request.
    pub fn check(&mut self, method: &str, path: &str, status: u16, body: &Value) {
        let path = path.split('?').next().unwrap_or_default();
        let parts: Vec<&str> = path.split('/').collect();
        let paths = self.document["paths"].as_object().expect("paths");
        let of_template = |template: &str| {
            let template: Vec<&str> = template.split('/').collect();
            let mut pairs = template.iter().zip(&parts);
            template.len() == parts.len()
                && pairs.all(|(template, part)| template.starts_with('{') || template == part)
        };
        let (template, methods) = paths
            .iter()
            .find(|(template, _)| of_template(template))
            .unwrap_or_else(|| panic!("{path} is not in the document"));
        let operation = &methods[method.to_lowercase()];
        let responses = &operation["responses"];
        let response = match &responses[status.to_string()] {
            Value::Null => &responses["default"],
            response => response,
        };
        let response = self.resolved(response);
        let schema = &response["content"]["application/json"]["schema"];
        if schema.is_null() {
            assert!(
                body.is_null(),
                "{method} {path}: {status} has no body: {body}"
            );
        } else if let Err(why) = self.fits(schema, body) {
            panic!("{method} {path}: {status}: {why} in {body:#}");
        }
        if status < 300 {
            let served = format!("{method} {template}");
            self.served.insert(served);
        }
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        let Some(reference) = value["$ref"].as_str() else {
            assert!(value.is_object(), "the document does not say that");
            return value;
        };
        let pointer = reference.trim_start_matches('#');
        self.document.pointer(pointer).expect("a known reference")
    }

    fn fits(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let schema = self.resolved(schema);
        if let Some(options) = schema["oneOf"].as_array() {
            let fitting = options.iter().filter(|one| self.fits(one, value).is_ok());
            return match fitting.count() {
                1 => Ok(()),
                count => Err(format!("{value} fits {count} of the schemas")),
            };
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
            _ => return Err(format!("{schema} has no type")),
        };
        let is = |name: &&str| match *name {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            other => panic!("no such type: {other}"),
        };
        if !types.iter().any(is) {
            return Err(format!("{value} is none of {types:?}"));
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(value)
        {
            return Err(format!("{value} is none of {allowed:?}"));
        }
        for element in value.as_array().into_iter().flatten() {
            self.fits(&schema["items"], element)?;
        }
        for (name, member) in value.as_object().into_iter().flatten() {
            match &schema["properties"][name] {
                Value::Null => return Err(format!("`{name}` is not documented")),
                property => self
                    .fits(property, member)
                    .map_err(|why| format!("{name}: {why}"))?,
            }
        }
        let required = schema["required"].as_array().into_iter().flatten();
        let mut missing = required
            .filter_map(Value::as_str)
            .filter(|name| value.is_object() && value.get(name).is_none());
        missing
            .next()
            .map_or(Ok(()), |name| Err(format!("`{name}` is missing")))
    }
}
