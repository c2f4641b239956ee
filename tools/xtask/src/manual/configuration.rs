//! The tables of configuration keys, and the JSON schema of the configuration, from the program's own
//! tables.

use std::borrow::Cow;

use campaign_exporter::config::{account_keys, polling_keys};
use campaign_exporter::document::duration_text;
use campaign_exporter::document::keys::{Default, Key, Takes};
use campaign_exporter::provider::{Kind, Kinds};
use serde_json::{Map, Value, json};

use super::NOTICE;
use super::table::{code, codes, table};

/// Most words that a table lists.
const MANY_WORDS: usize = 30;

/// The pattern of a duration.
const DURATION: &str = "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";

/// `docs/configuration.md`.
pub(crate) fn text(kinds: &Kinds) -> String {
    let providers = kinds.iter().map(|kind| {
        let Kind { name, title, .. } = &**kind;
        format!("[{title}](providers/{name}.md#keys)")
    });
    let providers: Vec<String> = providers.collect();
    let parts = [
        NOTICE.to_owned(),
        "# Configuration".to_owned(),
        "The configuration is a YAML file with the keys `accounts`, a list, `global` and `providers`; see the \
         [example](../config.example.yaml). Unknown keys are errors. Durations are written `30s`, \
         `5m`, `12h`, `30d`. [Secrets](credentials.md) are in files or environment variables, never in \
         the configuration. Paths are relative to the configuration file. `campaign_exporter \
         --config.check` reports every problem in the \
         file, and `/config` shows the configuration in effect. Editors can use \
         [config.schema.json](config.schema.json)."
            .to_owned(),
        "## `definitions`".to_owned(),
        "A list of files and folders with [definitions](write-a-provider.md) of further providers. Of a \
         folder, the `.yml` and `.yaml` files are read.".to_owned(),
        "## `accounts`".to_owned(),
        key_table(&account_keys(kinds)),
        format!("Further keys depend on the provider: {}.", providers.join(", ")),
        "## `global`, `providers` and `accounts`".to_owned(),
        "`providers` has the same keys as `global`, for all accounts at a provider: `providers: {NAME: \
         {poll_interval: 10m}}`. An account's own value takes precedence over the one of its provider, and \
         that over the one in `global`."
            .to_owned(),
        key_table(&polling_keys(kinds)),
    ];
    parts.map(|part| part.trim_end().to_owned()).join("\n\n") + "\n"
}

/// A table of keys. A secret is a row for each of its two forms.
pub(crate) fn key_table(keys: &[Key]) -> String {
    let rows: Vec<_> = keys.iter().flat_map(rows).collect();
    table(["key", "type", "default", "range or values", "meaning"], &rows)
}

fn rows(key: &Key) -> Vec<[String; 5]> {
    let default = match &key.default {
        Default::Required => "required".to_owned(),
        Default::Absent(words) => (*words).to_owned(),
        Default::Value(value) => code(&value.to_text()),
    };
    let (kind, range) = match &key.takes {
        Takes::Text => ("text", String::new()),
        Takes::Url => ("address", String::new()),
        Takes::TimeZone => ("time zone", String::new()),
        Takes::Price => ("price", String::new()),
        Takes::Secret => {
            let name = &key.name;
            let row = |form: &str, kind: &str, meaning: &str| {
                let (key, kind) = (code(&format!("{name}_{form}")), kind.to_owned());
                [key, kind, default.clone(), String::new(), meaning.to_owned()]
            };
            return vec![
                row("file", "path", &key.meaning),
                row("env", "name", "Name of an environment variable, instead of the file."),
            ];
        }
        Takes::Duration(least, most) => {
            let range = format!("{} to {}", duration_text(*least), duration_text(*most));
            ("duration", range)
        }
        Takes::Integer(least, most) => ("whole number", format!("{least} to {most}")),
        Takes::Number(most) => ("number", format!("above 0, at most {most}")),
        Takes::Word(words) => ("word", codes(words.iter().map(Cow::as_ref))),
        Takes::Words(words) if words.len() > MANY_WORDS => {
            ("list", "[names](metrics.md#campaigns)".to_owned())
        }
        Takes::Words(words) => ("list", codes(words.iter().map(Cow::as_ref))),
        Takes::Mapping(keys) => {
            let nested = keys.iter().flat_map(|nested| {
                let name = format!("{}.{}", key.name, nested.name).into();
                rows(&Key { name, ..nested.clone() })
            });
            let meaning = key.meaning.clone().into_owned();
            let own = [code(&key.name), "mapping".to_owned(), default, String::new(), meaning];
            return [own].into_iter().chain(nested).collect();
        }
    };
    vec![[code(&key.name), kind.to_owned(), default, range, key.meaning.clone().into_owned()]]
}

/// `docs/config.schema.json`, by JSON Schema's draft 7, which most editors know.
pub(crate) fn schema(kinds: &Kinds) -> anyhow::Result<String> {
    let polling = polling_keys(kinds);
    let accounts = kinds.iter().map(|kind| {
        let own = account_keys(kinds);
        let keys: Vec<&Key> = own.iter().chain(&kind.keys).chain(&polling).collect();
        let mut schema = object(&keys);
        if let Some(provider) = schema.pointer_mut("/properties/provider") {
            *provider = json!({ "const": &*kind.name, "description": &*kind.title });
        }
        schema
    });
    // whose keys a definition decides
    let defined = json!({
        "type": "object",
        "required": ["name", "provider"],
        "properties": { "provider": { "type": "string", "not": { "enum": kinds.names() } } },
    });
    let mappings = polling.iter().filter_map(|key| match &key.takes {
        Takes::Mapping(keys) => {
            Some((key.name.to_string(), object(&keys.iter().collect::<Vec<_>>())))
        }
        _ => None,
    });
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "campaign_exporter configuration",
        "type": "object",
        "additionalProperties": false,
        "definitions": mappings.collect::<Map<_, _>>(),
        "required": ["accounts"],
        "properties": {
            "definitions": { "type": "array", "items": { "type": "string", "minLength": 1 } },
            "global": object(&polling.iter().collect::<Vec<_>>()),
            "providers": {
                "type": "object",
                "additionalProperties": object(&polling.iter().collect::<Vec<_>>()),
            },
            "accounts": {
                "type": "array",
                "minItems": 1,
                "items": { "oneOf": accounts.chain([defined]).collect::<Vec<_>>() },
            },
        },
    });
    Ok(serde_json::to_string_pretty(&schema)? + "\n")
}

fn object(keys: &[&Key]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    let mut one_of = Vec::new();
    for key in keys {
        let is_required = key.default == Default::Required;
        if key.takes == Takes::Secret {
            let forms = ["file", "env"].map(|form| format!("{}_{form}", key.name));
            for form in &forms {
                let schema = json!({ "type": "string", "description": &*key.meaning });
                properties.insert(form.clone(), schema);
            }
            if is_required {
                one_of.push(json!({ "oneOf": forms.map(|form| json!({ "required": [form] })) }));
            }
            continue;
        }
        if is_required {
            required.push(&*key.name);
        }
        properties.insert(key.name.clone().into_owned(), property(key));
    }
    let mut schema = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    if let Some(schema) = schema.as_object_mut() {
        if !required.is_empty() {
            schema.insert("required".to_owned(), json!(required));
        }
        if !one_of.is_empty() {
            schema.insert("allOf".to_owned(), json!(one_of));
        }
    }
    schema
}

fn property(key: &Key) -> Value {
    let mut schema = match &key.takes {
        Takes::Text | Takes::Secret | Takes::TimeZone => {
            json!({ "type": "string", "minLength": 1 })
        }
        Takes::Price => {
            json!({ "type": "string", "pattern": "^\\s*[0-9.eE+-]+ +[A-Za-z]{3}\\s*$" })
        }
        Takes::Url => json!({ "type": "string", "pattern": "^https?://" }),
        Takes::Duration(..) => json!({ "type": "string", "pattern": DURATION }),
        Takes::Integer(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Takes::Number(most) => {
            json!({ "type": "number", "exclusiveMinimum": 0, "maximum": most })
        }
        Takes::Word(words) => json!({ "enum": words }),
        // once for all accounts; beside a reference, a description would be ignored
        Takes::Mapping(_) => {
            json!({ "allOf": [{ "$ref": format!("#/definitions/{}", key.name) }] })
        }
        Takes::Words(words) => json!({
            "type": "array",
            "uniqueItems": true,
            "items": { "enum": words },
        }),
    };
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".to_owned(), json!(key.meaning));
        if let Default::Value(value) = &key.default {
            let default = match &key.takes {
                Takes::Words(_) | Takes::Mapping(_) | Takes::Integer(..) => {
                    serde_saphyr::from_str(&value.to_text()).unwrap_or(Value::Null)
                }
                _ => json!(value.to_text()),
            };
            schema.insert("default".to_owned(), default);
        }
    }
    schema
}
