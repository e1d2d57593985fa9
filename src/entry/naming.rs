//! RDN values in the entry they name.

use super::EntryBuilder;
use super::list;
use super::modify::same_value;
use crate::name::Rdn;
use crate::schema::Schema;

/// Adds the RDN's values that the entry does not list. Attribute types that the schema lacks are left for the schema
/// check.
pub fn complete_rdn_values(rdn: &Rdn, builder: &mut EntryBuilder, schema: &Schema) {
    for ava in rdn.avas() {
        if let Some(description) = schema.describe(ava.attribute()) {
            builder.add(&description, ava.value());
        }
    }
}

/// The first attribute type of the RDN whose value is not in the encoded user attributes; none if all are there.
pub fn lacks_rdn_value(rdn: &Rdn, user: &[u8], schema: &Schema) -> Option<String> {
    rdn.avas().iter().find_map(|ava| {
        let Some(attribute) = schema.attribute(ava.attribute()) else {
            return Some(ava.attribute().to_owned());
        };
        let held = list::find(user, attribute.name().as_bytes()).is_some_and(|encoded| {
            encoded.values().any(|value| same_value(attribute.equality, value, ava.value()))
        });
        (!held).then(|| attribute.name().to_owned())
    })
}
