//! Every room's error as an LDAPResult: the one place where result codes are chosen.
//!
//! Texts name the attribute, the limit, the privilege; never a value of a token or a password.

use crate::access::{AciError, Privilege};
use crate::backend::{ChangeError, StoreError};
use crate::entry::{ModifyError, NamingError};
use crate::name::DnError;
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::{SchemaError, Violation};

/// Placeholders that stand in LDIF files until somebody puts a suffix in their place.
const PLACEHOLDERS: [&str; 3] = ["$ROOT_SUFFIX", "@SM_CONFIG_ROOT_SUFFIX@", "@ROOT_SUFFIX@"];

/// What to tell who sends a DN with a placeholder left in it.
pub(super) fn placeholder_hint(dn: &str) -> Option<String> {
    let found = PLACEHOLDERS.into_iter().find(|placeholder| dn.contains(placeholder))?;
    Some(format!(
        "the DN holds the literal text {found}: the placeholder was not replaced by the suffix (within single \
         quotes a shell leaves $ROOT_SUFFIX as it is; use double quotes in the sed command)"
    ))
}

/// invalidDNSyntax for a DN that does not parse; `what` says whose DN it is.
pub(super) fn dn_error(what: &str, text: &str, error: &DnError) -> LdapResult {
    let mut diagnostic = format!("the {what} is not a DN: {error}");
    if let Some(hint) = placeholder_hint(text) {
        diagnostic = format!("{diagnostic}; {hint}");
    }
    LdapResult::with(ResultCode::INVALID_DN_SYNTAX, diagnostic)
}

/// A DN that cannot name the entry that is to be added.
pub(super) fn naming_error(dn: &str, error: &NamingError) -> LdapResult {
    let code = match error {
        NamingError::Dn(error) => return dn_error("entry's DN", dn, error),
        NamingError::Syntax { .. } => ResultCode::INVALID_ATTRIBUTE_SYNTAX,
        _ => ResultCode::NAMING_VIOLATION,
    };
    LdapResult::with(code, error.to_string())
}

/// What is said of an entry that is not there, or must not be seen.
pub(super) const NO_ENTRY: &str = "the entry does not exist";

/// noSuchObject, with a hint where the DN itself shows what went wrong; the matched DN is the caller's business.
pub(super) fn no_such_object(dn: &str) -> LdapResult {
    match placeholder_hint(dn) {
        Some(hint) => LdapResult::with(ResultCode::NO_SUCH_OBJECT, hint),
        None => LdapResult::new(ResultCode::NO_SUCH_OBJECT, NO_ENTRY),
    }
}

/// insufficientAccessRights for want of a privilege.
pub(super) fn missing_privilege(privilege: Privilege, for_what: &str) -> LdapResult {
    LdapResult::with(
        ResultCode::INSUFFICIENT_ACCESS_RIGHTS,
        format!("{for_what} needs the privilege {}", privilege.name()),
    )
}

/// insufficientAccessRights for want of a grant.
pub(super) fn denied(what: &'static str) -> LdapResult {
    LdapResult::new(ResultCode::INSUFFICIENT_ACCESS_RIGHTS, what)
}

/// The store's own failures.
pub(super) fn store_error(error: &StoreError) -> LdapResult {
    let code = match error {
        StoreError::Unwilling(_) => ResultCode::UNWILLING_TO_PERFORM,
        StoreError::Busy => ResultCode::BUSY,
        _ => {
            tracing::error!(%error, "the store failed");
            return LdapResult::new(ResultCode::OTHER, "the store failed; the server's log says how");
        }
    };
    LdapResult::with(code, error.to_string())
}

/// A change that did not happen.
pub(super) fn change_error(error: ChangeError) -> LdapResult {
    match error {
        ChangeError::Refused(result) => result,
        ChangeError::Store(error) => store_error(&error),
    }
}

/// An entry that breaks the schema.
pub(super) fn violation(violation: &Violation) -> LdapResult {
    let code = match violation {
        Violation::Syntax(_) => ResultCode::INVALID_ATTRIBUTE_SYNTAX,
        Violation::UndefinedType(_) => ResultCode::UNDEFINED_ATTRIBUTE_TYPE,
        Violation::Constraint(_) => ResultCode::CONSTRAINT_VIOLATION,
        Violation::Duplicate(_) => ResultCode::ATTRIBUTE_OR_VALUE_EXISTS,
        _ => ResultCode::OBJECT_CLASS_VIOLATION,
    };
    LdapResult::with(code, violation.to_string())
}

/// Modifications that cannot be applied.
pub(super) fn modify_error(error: &ModifyError) -> LdapResult {
    let code = match error {
        ModifyError::NoSuchAttribute(_) => ResultCode::NO_SUCH_ATTRIBUTE,
        ModifyError::Exists(_) => ResultCode::ATTRIBUTE_OR_VALUE_EXISTS,
        // OpenDJ answers 65 for an attribute that its schema lacks; so does the Add here.
        ModifyError::UndefinedType(_) => ResultCode::OBJECT_CLASS_VIOLATION,
        ModifyError::Syntax(_) => ResultCode::INVALID_ATTRIBUTE_SYNTAX,
        ModifyError::Malformed(_) => ResultCode::PROTOCOL_ERROR,
        _ => ResultCode::CONSTRAINT_VIOLATION,
    };
    LdapResult::with(code, error.to_string())
}

/// A value of `aci` that is none.
pub(super) fn aci_error(error: &AciError) -> LdapResult {
    LdapResult::with(ResultCode::INVALID_ATTRIBUTE_SYNTAX, format!("attribute aci: {error}"))
}

/// An edit of the schema that is refused; for [`super::VirtualBackend`]s.
pub fn schema_error(error: &SchemaError) -> LdapResult {
    let code = match error {
        SchemaError::Definition(_) => ResultCode::INVALID_ATTRIBUTE_SYNTAX,
        SchemaError::Reference(_) => ResultCode::CONSTRAINT_VIOLATION,
        SchemaError::Unwilling(_) => ResultCode::UNWILLING_TO_PERFORM,
        _ => {
            tracing::error!(%error, "the schema cannot be kept");
            ResultCode::OTHER
        }
    };
    LdapResult::with(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Dn;

    #[test]
    fn a_left_over_placeholder_is_named() {
        for dn in ["ou=tokens,$ROOT_SUFFIX", "$ROOT_SUFFIX"] {
            let result = dn_error("entry's DN", dn, &Dn::parse(dn).unwrap_err());
            assert_eq!(result.code, ResultCode::INVALID_DN_SYNTAX);
            assert!(result.diagnostic.contains("$ROOT_SUFFIX"), "{}", result.diagnostic);
            assert!(result.diagnostic.contains("at octet"), "{}", result.diagnostic);
        }
        let result = no_such_object("ou=tokens,dc=$ROOT_SUFFIX");
        assert_eq!(result.code, ResultCode::NO_SUCH_OBJECT);
        assert!(result.diagnostic.contains("sed"));
        assert_eq!(no_such_object("dc=x").diagnostic, "the entry does not exist");
    }

    #[test]
    fn store_failures_have_their_codes() {
        let code = |error| store_error(&error).code;
        assert_eq!(code(StoreError::Busy), ResultCode::BUSY);
        assert_eq!(code(StoreError::Unwilling("full".into())), ResultCode::UNWILLING_TO_PERFORM);
        assert_eq!(code(StoreError::Io("x".into())), ResultCode::OTHER);
    }
}
