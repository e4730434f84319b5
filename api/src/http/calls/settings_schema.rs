//! How OpenAPI describes settings: as they are declared ([`Declaration`]).

use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    KnownFormat, ObjectBuilder, OneOfBuilder, Ref, RefBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::{PartialSchema, ToSchema};
use zonepulse_central::servers::settings::PASSWORD_SET;
use zonepulse_model::{Allowed, Declaration, Interval, Settings};

/// An example of an address of an API.
const URL: &str = "https://central.example:8053";

/// Settings as set, for all servers or for one.
pub struct SettingsSet;

/// Settings in effect.
pub struct EffectiveSettings;

impl PartialSchema for SettingsSet {
    fn schema() -> RefOr<Schema> {
        let description = "The settings as set here; for one that is absent or null, the default applies, or for a server the value for all servers.";
        let all = ObjectBuilder::new().description(Some(description));
        let all = Settings::DECLARED.iter().fold(all, |all, declared| all.property(declared.name, nullable(declared)));
        let is_set = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::Boolean, Type::Null]))
            .description(Some("Whether a password is set."))
            .read_only(true);
        all.property(PASSWORD_SET, is_set).into()
    }
}

impl PartialSchema for EffectiveSettings {
    fn schema() -> RefOr<Schema> {
        let description =
            "The settings in effect: the defaults, overridden by those for all servers, overridden by those of a server.";
        let all = ObjectBuilder::new().description(Some(description));
        let is_shown = |declared: &&Declaration| declared.allowed != Allowed::Secret;
        let all = Settings::DECLARED.iter().filter(is_shown).fold(all, |all, declared| {
            let schema: RefOr<Schema> = match reference(declared) {
                Some(reference) => reference.into(),
                None => object(declared, kind(declared).into()).into(),
            };
            all.property(declared.name, schema).required(declared.name)
        });
        let is_set = ObjectBuilder::new()
            .schema_type(Type::Boolean)
            .description(Some("Whether a password is set. The password itself is never shown."));
        all.property(PASSWORD_SET, is_set).required(PASSWORD_SET).into()
    }
}

impl ToSchema for SettingsSet {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.extend(choices());
    }
}

impl ToSchema for EffectiveSettings {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.extend(choices());
    }
}

/// The types of settings that have a fixed set of words.
fn choices() -> impl Iterator<Item = (String, RefOr<Schema>)> {
    Settings::DECLARED.iter().filter_map(|declared| match declared.allowed {
        Allowed::Choice { name, words } => {
            let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.iter().copied()));
            Some((name.to_owned(), schema.into()))
        }
        _ => None,
    })
}

/// A setting that may be absent.
fn nullable(declared: &Declaration) -> RefOr<Schema> {
    match reference(declared) {
        Some(reference) => OneOfBuilder::new().item(reference).item(ObjectBuilder::new().schema_type(Type::Null)).into(),
        None => object(declared, SchemaType::from_iter([kind(declared), Type::Null])).into(),
    }
}

fn reference(declared: &Declaration) -> Option<Ref> {
    match declared.allowed {
        Allowed::Choice { name, .. } => {
            let reference = RefBuilder::new().ref_location_from_schema_name(name);
            Some(reference.description(Some(declared.description.join("\n"))).build())
        }
        _ => None,
    }
}

fn kind(declared: &Declaration) -> Type {
    match declared.allowed {
        Allowed::Flag => Type::Boolean,
        Allowed::Number { .. } | Allowed::Interval => Type::Integer,
        _ => Type::String,
    }
}

#[expect(deprecated, reason = "the document says `example`, as that of every other field")]
fn object(declared: &Declaration, schema_type: SchemaType) -> ObjectBuilder {
    let object = ObjectBuilder::new().schema_type(schema_type).description(Some(declared.description.join("\n")));
    let number = |object: ObjectBuilder, min: u32, max: u32| {
        let object = object.format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32))).minimum(Some(min));
        if max == u32::MAX { object } else { object.maximum(Some(max)) }
    };
    match declared.allowed {
        Allowed::Flag | Allowed::Choice { .. } => object,
        Allowed::Number { min, max } => number(object, min, max),
        Allowed::Interval => number(object, 1, Interval::MAX_S).example(default_of(declared.name)),
        Allowed::Url => text(object, declared).example(Some(URL.into())),
        Allowed::Secret => text(object, declared).write_only(true),
        Allowed::Host | Allowed::VirtualHost | Allowed::Text => text(object, declared),
    }
}

fn text(object: ObjectBuilder, declared: &Declaration) -> ObjectBuilder {
    let (min, max) = declared.allowed.bytes().into_inner();
    object.min_length((min > 0).then_some(min)).max_length(Some(max))
}

fn default_of(name: &str) -> Option<Value> {
    serde_json::to_value(Settings::default()).ok()?.get(name).cloned()
}
