//! Object identifiers as text: a name and the OID it stands for differ here; who has the schema resolves first.

/// Appends the lower-cased text, outer spaces dropped. Anything without inner spaces is taken, as unknown names
/// just match nothing.
pub(super) fn key(value: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let text = value.trim_ascii();
    if text.is_empty() || !text.iter().all(u8::is_ascii_graphic) {
        return Err("an OID is numbers joined by dots, or a name".into());
    }
    out.extend(text.iter().map(u8::to_ascii_lowercase));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_case() {
        let mut out = Vec::new();
        key(b" frCoreToken ", &mut out).unwrap();
        assert_eq!(out, b"frcoretoken");
        assert!(key(b"a b", &mut Vec::new()).is_err());
        assert!(key(b"", &mut Vec::new()).is_err());
    }
}
