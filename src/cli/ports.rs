//! Which ports are free, asked before an instance is made for them.

use std::io::ErrorKind;
use std::net::TcpListener;

use super::Failure;

/// The usual port of the administration connector.
pub(super) const ADMIN_PORT: u16 = 4444;
/// How many ports after it are tried.
const NEIGHBOURS: u16 = 100;

fn is_free(port: u16) -> bool {
    TcpListener::bind(("0.0.0.0", port)).is_ok()
}

/// The port of the administration connector: the one given, or the usual one, or the next that is free, and says so.
pub(super) fn administration(given: Option<u16>, unchecked: bool) -> u16 {
    if let Some(port) = given {
        return port;
    }
    if unchecked || is_free(ADMIN_PORT) {
        return ADMIN_PORT;
    }
    let mut next = ADMIN_PORT.saturating_add(1)..=ADMIN_PORT.saturating_add(NEIGHBOURS);
    let Some(port) = next.find(|port| is_free(*port)) else { return ADMIN_PORT };
    eprintln!(
        "Port {ADMIN_PORT} is in use: the administration connector takes {port} (--adminConnectorPort chooses another)."
    );
    port
}

/// Says which port, given by which option, is taken or named twice.
pub(super) fn check(ports: &[(&str, Option<u16>)]) -> Result<(), Failure> {
    let mut seen: Vec<(&str, u16)> = Vec::new();
    for (option, port) in ports {
        let Some(port) = *port else { continue };
        if let Some((other, _)) = seen.iter().find(|(_, taken)| *taken == port) {
            return Err(Failure::usage(format!("{other} and {option} both name port {port}")));
        }
        seen.push((option, port));
        if let Err(error) = TcpListener::bind(("0.0.0.0", port)) {
            return Err(Failure::new(match error.kind() {
                ErrorKind::AddrInUse => {
                    format!("port {port} is in use: choose another with {option}, or stop what listens on it")
                }
                _ => format!("port {port} cannot be opened: {error}; choose another with {option}"),
            }));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_its_option() {
        let taken = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let failure = check(&[("--ldapPort", Some(port))]).unwrap_err();
        let text = format!("{failure:?}");
        assert!(text.contains(&format!("port {port} is in use")) && text.contains("--ldapPort"), "{text}");
        assert!(check(&[("--ldapPort", None), ("--ldapsPort", None)]).is_ok());
    }

    #[test]
    fn one_port_is_not_two() {
        let free = TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
        let text =
            format!("{:?}", check(&[("--ldapPort", Some(free)), ("--ldapsPort", Some(free))]).unwrap_err());
        assert!(text.contains("both name port"), "{text}");
    }

    #[test]
    fn the_administration_port_gives_way_unless_it_was_given() {
        assert_eq!(administration(Some(1), false), 1);
        assert_eq!(administration(None, true), ADMIN_PORT);
        let _taken = TcpListener::bind(("0.0.0.0", ADMIN_PORT));
        assert!(administration(None, false) > ADMIN_PORT);
    }
}
