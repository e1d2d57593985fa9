//! Requests as they travel: a frame that was checked once, and views that borrow from it.

use bytes::Bytes;

use super::filter::Filter;

/// A message id, 1 to 2^31 − 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub i32);

/// Where a search looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The base entry.
    Base,
    /// Its children.
    One,
    /// The base entry and all below.
    Subtree,
    /// All below the base entry (draft-sermersheim-ldap-subordinate-scope).
    Subordinate,
}

/// The operation of a request, for those who only need to know which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum OperationKind {
    Bind,
    Unbind,
    Search,
    Modify,
    Add,
    Delete,
    ModifyDn,
    Compare,
    Abandon,
    Extended,
}

/// A request, checked as a whole by [`super::decode::decode`]; its views cannot fail.
#[derive(Debug, Clone)]
pub struct Request {
    pub(super) frame: Bytes,
    pub(super) id: MessageId,
    pub(super) kind: OperationKind,
    /// Content octets of the protocolOp within the frame.
    pub(super) operation: std::ops::Range<usize>,
    /// Content octets of the controls within the frame; empty if there are none.
    pub(super) controls: std::ops::Range<usize>,
}

/// What a request asks for.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum Operation<'a> {
    Bind(BindRequest<'a>),
    Unbind,
    Search(SearchRequest<'a>),
    Modify(ModifyRequest<'a>),
    Add(AddRequest<'a>),
    Delete(DeleteRequest<'a>),
    ModifyDn(ModifyDnRequest<'a>),
    Compare(CompareRequest<'a>),
    Abandon(MessageId),
    Extended(ExtendedRequest<'a>),
}

/// BindRequest (RFC 4511 §4.2).
#[derive(Debug, Clone)]
pub struct BindRequest<'a> {
    /// 1 to 127; only 3 is served.
    pub version: u8,
    /// The bind DN.
    pub dn: &'a str,
    /// How the client proves who it is.
    pub authentication: Authentication<'a>,
}

/// AuthenticationChoice.
#[derive(Clone, Copy)]
pub enum Authentication<'a> {
    /// A password; empty for anonymous.
    Simple(&'a [u8]),
    /// SASL; absent and empty credentials are different things.
    Sasl {
        /// The mechanism's name.
        mechanism: &'a str,
        /// The client's credentials.
        credentials: Option<&'a [u8]>,
    },
    /// Another choice, by its tag.
    Other(u8),
}

impl std::fmt::Debug for Authentication<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Simple(_) => f.write_str("Simple(***)"),
            Self::Sasl { mechanism, .. } => write!(f, "Sasl({mechanism}, ***)"),
            Self::Other(tag) => write!(f, "Other({tag:#04x})"),
        }
    }
}

/// SearchRequest (RFC 4511 §4.5.1).
#[derive(Debug, Clone)]
pub struct SearchRequest<'a> {
    /// The base DN.
    pub base: &'a str,
    /// The scope.
    pub scope: Scope,
    /// derefAliases, parsed and ignored: there are no aliases.
    pub deref: u8,
    /// Entries wanted at the most; 0 is no limit.
    pub size_limit: u32,
    /// Seconds wanted at the most; 0 is no limit.
    pub time_limit: u32,
    /// Whether descriptions alone are wanted.
    pub types_only: bool,
    /// The filter.
    pub filter: Filter<'a>,
    /// The attribute selection.
    pub attributes: Strings<'a>,
}

/// AddRequest (RFC 4511 §4.7).
#[derive(Debug, Clone)]
pub struct AddRequest<'a> {
    /// The new entry's DN.
    pub dn: &'a str,
    /// Its attributes.
    pub attributes: Attributes<'a>,
}

/// DelRequest (RFC 4511 §4.8).
#[derive(Debug, Clone)]
pub struct DeleteRequest<'a> {
    /// The entry's DN.
    pub dn: &'a str,
}

/// ModifyRequest (RFC 4511 §4.6).
#[derive(Debug, Clone)]
pub struct ModifyRequest<'a> {
    /// The entry's DN.
    pub dn: &'a str,
    /// The modifications, in order.
    pub changes: Modifications<'a>,
}

/// ModifyDNRequest (RFC 4511 §4.9).
#[derive(Debug, Clone)]
pub struct ModifyDnRequest<'a> {
    /// The entry's DN.
    pub dn: &'a str,
    /// Its new RDN.
    pub new_rdn: &'a str,
    /// Whether the old RDN's values go.
    pub delete_old_rdn: bool,
    /// Its new parent.
    pub new_superior: Option<&'a str>,
}

/// CompareRequest (RFC 4511 §4.10).
#[derive(Debug, Clone)]
pub struct CompareRequest<'a> {
    /// The entry's DN.
    pub dn: &'a str,
    /// The attribute description.
    pub attribute: &'a str,
    /// The assertion value.
    pub value: &'a [u8],
}

/// ExtendedRequest (RFC 4511 §4.12).
#[derive(Debug, Clone)]
pub struct ExtendedRequest<'a> {
    /// The operation's OID.
    pub name: &'a str,
    /// Its value.
    pub value: Option<&'a [u8]>,
}

/// A control of a request or a response (RFC 4511 §4.1.11), borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Control<'a> {
    /// The control's OID.
    pub oid: &'a str,
    /// Whether the operation must fail if the control cannot be honoured.
    pub critical: bool,
    /// Its value.
    pub value: Option<&'a [u8]>,
}

/// A modification's operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ModifyOperation {
    /// Add values.
    Add,
    /// Delete values, or the attribute.
    Delete,
    /// Replace all values.
    Replace,
    /// Increment (RFC 4525).
    Increment,
}

/// One modification.
#[derive(Debug, Clone, Copy)]
pub struct Modification<'a> {
    /// What to do.
    pub operation: ModifyOperation,
    /// With which attribute and values.
    pub attribute: RawAttribute<'a>,
}

/// One PartialAttribute as it travels.
#[derive(Debug, Clone, Copy)]
pub struct RawAttribute<'a> {
    /// The attribute description as sent.
    pub description: &'a str,
    /// Its values.
    pub values: Values<'a>,
}

/// The encoded elements of a list that was checked; iterates without allocating.
#[derive(Debug, Clone, Copy)]
pub struct Strings<'a>(pub(super) &'a [u8]);

/// The values of an attribute: content octets of a checked SET OF OCTET STRING.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a>(pub(super) &'a [u8]);

/// A checked AttributeList: content octets of a SEQUENCE OF PartialAttribute.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a>(pub(super) &'a [u8]);

/// A checked list of modifications.
#[derive(Debug, Clone, Copy)]
pub struct Modifications<'a>(pub(super) &'a [u8]);
