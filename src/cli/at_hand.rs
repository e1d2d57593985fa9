//! The server of the instance at hand, for tools that are called without a word about where it is or who asks: it knows its
//! own user by its administration socket.

use std::io::ErrorKind;

use super::ldap::{AdminOptions, Client};
use super::{Failure, args, process};

/// A connection, and whether it is that of the server's own user.
pub(super) fn open(
    tool: &'static str,
    at: &args::At,
    admin: &AdminOptions,
) -> Result<(Client, bool), Failure> {
    if admin.names_server(tool)? || !admin.names_nobody(tool)? {
        return Ok((admin.open(tool)?, false));
    }
    let instance = &at.instance;
    let why = if let Err(error) = std::fs::metadata(instance.join("config/config.ldif")) {
        match error.kind() {
            ErrorKind::PermissionDenied => format!("this user may not look into {}", instance.display()),
            _ => format!("{} is not an instance (--instance names one)", instance.display()),
        }
    } else if process::running(instance).is_none() {
        format!("the server of {} does not run (start-ds starts it)", instance.display())
    } else {
        match admin.open_socket(&process::socket(instance)) {
            Ok(client) => return Ok((client, true)),
            Err(failure) => {
                format!(
                    "the administration socket of {} cannot be used: {}",
                    instance.display(),
                    failure.text
                )
            }
        }
    };
    // On a terminal there is somebody who may know a password.
    if admin.asks() {
        return Ok((admin.open(tool)?, false));
    }
    if let Some(addresses) = process::serving(instance).filter(|_| process::running(instance).is_some()) {
        let secret = instance.join("config/secrets/directory-manager.password");
        if let Some(client) = admin.open_local(tool, &addresses, &secret)? {
            return Ok((client, false));
        }
    }
    Err(Failure::new(format!(
        "nothing says who asks, and {why}: give --hostname HOST, --port PORT, --bindDN DN and --bindPasswordFile FILE \
         (or --bindPassword), for example\n  {tool} --hostname localhost --port 4444 --bindDN 'cn=Directory Manager' \
         --bindPasswordFile password.txt …"
    )))
}
