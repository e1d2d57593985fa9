//! Result codes and LDAPResult (RFC 4511 §4.1.9).

use std::borrow::Cow;

/// A result code: an open set, with names for those the server uses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResultCode(pub u32);

macro_rules! codes {
    ($($(#[$doc:meta])* $constant:ident = $value:literal $name:literal;)*) => {
        impl ResultCode {
            $($(#[$doc])* pub const $constant: Self = Self($value);)*

            /// The name RFC 4511 (or the registry) gives the code.
            pub const fn name(self) -> &'static str {
                match self.0 { $($value => $name,)* _ => "other" }
            }
        }
    };
}

codes! {
    /// The operation succeeded.
    SUCCESS = 0 "success";
    /// Something failed inside, or the requests are out of sequence.
    OPERATIONS_ERROR = 1 "operationsError";
    /// The message breaks the protocol.
    PROTOCOL_ERROR = 2 "protocolError";
    /// The time limit ended the search.
    TIME_LIMIT_EXCEEDED = 3 "timeLimitExceeded";
    /// The size limit ended the search.
    SIZE_LIMIT_EXCEEDED = 4 "sizeLimitExceeded";
    /// Compare: false.
    COMPARE_FALSE = 5 "compareFalse";
    /// Compare: true.
    COMPARE_TRUE = 6 "compareTrue";
    /// The authentication method is not supported.
    AUTH_METHOD_NOT_SUPPORTED = 7 "authMethodNotSupported";
    /// Stronger authentication is required.
    STRONGER_AUTH_REQUIRED = 8 "strongerAuthRequired";
    /// A referral.
    REFERRAL = 10 "referral";
    /// An administrative limit (look-through) ended the search.
    ADMIN_LIMIT_EXCEEDED = 11 "adminLimitExceeded";
    /// A critical control or extension is not available.
    UNAVAILABLE_CRITICAL_EXTENSION = 12 "unavailableCriticalExtension";
    /// Confidentiality is required.
    CONFIDENTIALITY_REQUIRED = 13 "confidentialityRequired";
    /// A SASL bind goes on.
    SASL_BIND_IN_PROGRESS = 14 "saslBindInProgress";
    /// The attribute or value to remove is not there.
    NO_SUCH_ATTRIBUTE = 16 "noSuchAttribute";
    /// The attribute type is not in the schema.
    UNDEFINED_ATTRIBUTE_TYPE = 17 "undefinedAttributeType";
    /// The matching rule does not fit.
    INAPPROPRIATE_MATCHING = 18 "inappropriateMatching";
    /// A constraint is violated.
    CONSTRAINT_VIOLATION = 19 "constraintViolation";
    /// The attribute or value is already there.
    ATTRIBUTE_OR_VALUE_EXISTS = 20 "attributeOrValueExists";
    /// A value breaks its syntax.
    INVALID_ATTRIBUTE_SYNTAX = 21 "invalidAttributeSyntax";
    /// There is no such entry.
    NO_SUCH_OBJECT = 32 "noSuchObject";
    /// A DN does not parse.
    INVALID_DN_SYNTAX = 34 "invalidDNSyntax";
    /// The authentication is not appropriate.
    INAPPROPRIATE_AUTHENTICATION = 48 "inappropriateAuthentication";
    /// Name or password is wrong.
    INVALID_CREDENTIALS = 49 "invalidCredentials";
    /// Not allowed to.
    INSUFFICIENT_ACCESS_RIGHTS = 50 "insufficientAccessRights";
    /// Too busy.
    BUSY = 51 "busy";
    /// Not available: shutting down, or not ready.
    UNAVAILABLE = 52 "unavailable";
    /// The server will not do this.
    UNWILLING_TO_PERFORM = 53 "unwillingToPerform";
    /// A loop.
    LOOP_DETECT = 54 "loopDetect";
    /// The sort control is missing.
    SORT_CONTROL_MISSING = 60 "sortControlMissing";
    /// An offset is out of range.
    OFFSET_RANGE_ERROR = 61 "offsetRangeError";
    /// The name breaks the naming rules.
    NAMING_VIOLATION = 64 "namingViolation";
    /// The entry breaks its object classes.
    OBJECT_CLASS_VIOLATION = 65 "objectClassViolation";
    /// Not allowed on an entry with children.
    NOT_ALLOWED_ON_NON_LEAF = 66 "notAllowedOnNonLeaf";
    /// Not allowed on the RDN.
    NOT_ALLOWED_ON_RDN = 67 "notAllowedOnRDN";
    /// The entry exists.
    ENTRY_ALREADY_EXISTS = 68 "entryAlreadyExists";
    /// The object classes must not be changed so.
    OBJECT_CLASS_MODS_PROHIBITED = 69 "objectClassModsProhibited";
    /// The operation would span backends.
    AFFECTS_MULTIPLE_DSAS = 71 "affectsMultipleDSAs";
    /// Another error.
    OTHER = 80 "other";
    /// The operation was canceled (RFC 3909).
    CANCELED = 118 "canceled";
    /// No such operation to cancel (RFC 3909).
    NO_SUCH_OPERATION = 119 "noSuchOperation";
    /// Too late to cancel (RFC 3909).
    TOO_LATE = 120 "tooLate";
    /// The operation cannot be canceled (RFC 3909).
    CANNOT_CANCEL = 121 "cannotCancel";
    /// The assertion control's filter is not true (RFC 4528).
    ASSERTION_FAILED = 122 "assertionFailed";
    /// The authorization identity is not allowed (RFC 4370).
    AUTHORIZATION_DENIED = 123 "authorizationDenied";
    /// The no-op control kept the operation from taking effect.
    NO_OPERATION = 16654 "noOperation";
}

impl std::fmt::Debug for ResultCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({})", self.0, self.name())
    }
}

impl std::fmt::Display for ResultCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.0, self.name())
    }
}

/// The result of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LdapResult {
    /// What became of it.
    pub code: ResultCode,
    /// The deepest existing entry, where the code is about a name; else empty.
    pub matched: String,
    /// Text for the person.
    pub diagnostic: Cow<'static, str>,
}

impl LdapResult {
    /// Success, without text.
    pub const fn success() -> Self {
        Self::new(ResultCode::SUCCESS, "")
    }

    /// A result with a fixed text.
    pub const fn new(code: ResultCode, diagnostic: &'static str) -> Self {
        Self { code, matched: String::new(), diagnostic: Cow::Borrowed(diagnostic) }
    }

    /// A result with a text made for the occasion.
    pub fn with(code: ResultCode, diagnostic: String) -> Self {
        Self { code, matched: String::new(), diagnostic: Cow::Owned(diagnostic) }
    }

    /// The same result, naming the deepest existing entry.
    #[must_use]
    pub fn matched(mut self, dn: String) -> Self {
        self.matched = dn;
        self
    }
}
