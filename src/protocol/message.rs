//! Requests as they travel: a frame that was checked once, and views that borrow from it.

use bytes::Bytes;

use super::filter::Filter;
pub use super::list::{Attributes, Controls, Modifications, Strings, Values};

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

impl OperationKind {
    /// The tag of its protocolOp.
    pub const fn tag(self) -> u8 {
        match self {
            Self::Bind => 0x60,
            Self::Unbind => 0x42,
            Self::Search => 0x63,
            Self::Modify => 0x66,
            Self::Add => 0x68,
            Self::Delete => 0x4a,
            Self::ModifyDn => 0x6c,
            Self::Compare => 0x6e,
            Self::Abandon => 0x50,
            Self::Extended => 0x77,
        }
    }

    /// The operation whose request has this tag.
    pub const fn from_tag(tag: u8) -> Option<Self> {
        Some(match tag {
            0x60 => Self::Bind,
            0x42 => Self::Unbind,
            0x63 => Self::Search,
            0x66 => Self::Modify,
            0x68 => Self::Add,
            0x4a => Self::Delete,
            0x6c => Self::ModifyDn,
            0x6e => Self::Compare,
            0x50 => Self::Abandon,
            0x77 => Self::Extended,
            _ => return None,
        })
    }

    /// The word for it in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Unbind => "unbind",
            Self::Search => "search",
            Self::Modify => "modify",
            Self::Add => "add",
            Self::Delete => "delete",
            Self::ModifyDn => "modifyDN",
            Self::Compare => "compare",
            Self::Abandon => "abandon",
            Self::Extended => "extended",
        }
    }
}

impl Scope {
    /// The scope's number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::Base => 0,
            Self::One => 1,
            Self::Subtree => 2,
            Self::Subordinate => 3,
        }
    }

    /// The scope of a number.
    pub const fn from_number(number: i64) -> Option<Self> {
        Some(match number {
            0 => Self::Base,
            1 => Self::One,
            2 => Self::Subtree,
            3 => Self::Subordinate,
            _ => return None,
        })
    }
}

impl ModifyOperation {
    /// The operation's number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::Add => 0,
            Self::Delete => 1,
            Self::Replace => 2,
            Self::Increment => 3,
        }
    }
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

impl Request {
    /// Its message id.
    pub const fn id(&self) -> MessageId {
        self.id
    }

    /// Which operation it asks for.
    pub const fn kind(&self) -> OperationKind {
        self.kind
    }

    /// The whole message as it came.
    pub const fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// What it asks for, read again from the checked frame. Only a search allocates, for its filter's tree.
    pub fn operation(&self) -> Operation<'_> {
        let content = self.frame.get(self.operation.clone()).unwrap_or_default();
        super::decode::read_operation(self.kind, content)
    }

    /// Its controls, in the order they were sent.
    pub fn controls(&self) -> Controls<'_> {
        Controls::checked(self.frame.get(self.controls.clone()).unwrap_or_default())
    }
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
    /// The whole encoded PartialAttribute as sent: its lengths may be longer than needed and unknown trailing
    /// elements may be in it, so what is to be stored is written anew ([`super::encode::attribute`]).
    pub whole: &'a [u8],
}
