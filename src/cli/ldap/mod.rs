//! The client side of the tools: connecting, asking, and telling a person what came back. May enter: what more than one
//! tool needs to speak LDAP. What one tool alone does stays in the tool's file.

mod client;
mod control;
mod controlled;
mod hint;
mod options;
mod plain;
mod properties;
mod report;
mod tls;

pub(super) use client::{Answer, Client, ClientError, MAX_MESSAGE};
pub(super) use control::{
    OwnedControl, borrowed, effective_rights, matched_values, post_read, pre_read, sort_keys,
    virtual_list_view,
};
pub(super) use controlled::ControlOptions;
pub(super) use hint::about_arguments;
pub(super) use options::{AdminOptions, ConnectionOptions, LdapOptions, password_of, secret};
pub(super) use plain::{PlainEntry, naming_contexts, plain_search};
pub(super) use report::{describe, entry, exit_of, failed, failure, read_entries, wanted};
