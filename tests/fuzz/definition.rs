//! Whatever is written as a schema definition: what is taken prints and reads as the same, and an edit with it
//! is either refused or gives a schema that holds it.

use ctsd::schema::definition::Definition;
use ctsd::schema::{ElementKind, SchemaEdit, SchemaStore};

#[test]
fn definition() {
    let schema = SchemaStore::builtin(false).current();
    bolero::check!().with_iterations(crate::ITERATIONS).for_each(|input: &[u8]| {
        const PARTS: [&str; 32] = [
            "( ",
            ") ",
            "$ ",
            "1.2.3 ",
            "2.5.4.3 ",
            "1 ",
            "NAME ",
            "'a' ",
            "'cn' ",
            "DESC ",
            "'it\\27s' ",
            "OBSOLETE ",
            "SUP ",
            "top ",
            "cn ",
            "EQUALITY ",
            "caseIgnoreMatch ",
            "SYNTAX ",
            "1.3.6.1.4.1.1466.115.121.1.15{64} ",
            "SINGLE-VALUE ",
            "USAGE ",
            "directoryOperation ",
            "STRUCTURAL ",
            "AUXILIARY ",
            "MUST ",
            "MAY ",
            "OC ",
            "FORM ",
            "APPLIES ",
            "X-ORIGIN ",
            "X-SCHEMA-FILE ",
            "'b.ldif' ",
        ];
        let pieces: String = input.iter().map(|octet| PARTS[usize::from(*octet) % PARTS.len()]).collect();
        for text in [String::from_utf8_lossy(input).into_owned(), format!("( 1.2.3 {pieces})"), pieces] {
            for kind in ElementKind::ALL {
                let _ = Definition::parse_for_deletion(kind, &text);
                let Ok(definition) = Definition::parse(kind, &text) else { continue };
                let again = Definition::parse(kind, &definition.to_string()).unwrap();
                assert_eq!(Definition { file: definition.file.clone(), ..again }, definition, "{text:?}");
                if let Ok((edited, _)) = schema.edited(&[SchemaEdit::Add(kind, text.clone())], &|_| None) {
                    assert!(edited.definition(kind, &definition.oid).is_some(), "{text:?}");
                }
            }
        }
    });
}
