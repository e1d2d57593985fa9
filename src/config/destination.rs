//! Where it is told that a task has ended: mail servers and web addresses, as the configuration writes them.

use std::fmt;

/// How a mail server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailSecurity {
    /// In clear, as the reference server does.
    Clear,
    /// In clear until STARTTLS (RFC 3207), without which nothing is sent.
    StartTls,
    /// TLS from the start (RFC 8314).
    Tls,
}

/// A mail server: `host`, `host:port`, `smtp://[user@]host[:port]` or `smtps://[user@]host[:port]`. Displayed as it was
/// written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    text: String,
    /// How it is spoken to.
    pub security: MailSecurity,
    /// Who logs in; nobody in clear.
    pub user: Option<String>,
    /// Host name or address, without brackets.
    pub host: String,
    /// 25 in clear, 587 with STARTTLS, 465 with TLS, if none is written.
    pub port: u16,
}

impl fmt::Display for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl MailServer {
    /// Reads one; none if it is not written so. A password has no place in it.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (security, default, rest) = match scheme(text) {
            Some(("smtp", rest)) => (MailSecurity::StartTls, 587, rest),
            Some(("smtps", rest)) => (MailSecurity::Tls, 465, rest),
            Some(_) => return None,
            None => (MailSecurity::Clear, 25, text),
        };
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, rest),
        };
        if user.is_some_and(|user| user.is_empty() || user.contains(':') || security == MailSecurity::Clear) {
            return None;
        }
        let user = user.map(decoded).transpose().ok()?;
        let (host, port) = host_port(place.strip_suffix('/').unwrap_or(place), default)?;
        Some(Self { text: text.to_owned(), security, user, host, port })
    }
}

/// An `http://` or `https://` address. Displayed as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebAddress {
    text: String,
    /// Whether it is `https`.
    pub is_tls: bool,
    /// Host and port as they were written, for the header `Host`.
    pub authority: String,
    /// Host name or address, without brackets.
    pub host: String,
    /// 80, or 443 with TLS, if none is written.
    pub port: u16,
    /// Path and query; at least `/`.
    pub path: String,
}

impl fmt::Display for WebAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl WebAddress {
    /// Reads one; none if it is not written so. User names and fragments have no place in it.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (is_tls, default, rest) = match scheme(text)? {
            ("http", rest) => (false, 80, rest),
            ("https", rest) => (true, 443, rest),
            _ => return None,
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let is_clean = |octet: u8| octet.is_ascii_graphic() && octet != b'#' && octet != b'@';
        if !rest.bytes().all(is_clean) {
            return None;
        }
        let (host, port) = host_port(authority, default)?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Some(Self { text: text.to_owned(), is_tls, authority: authority.to_owned(), host, port, path })
    }
}

/// The scheme in lower case, and what stands behind `://`.
fn scheme(text: &str) -> Option<(&'static str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let known =
        ["smtp", "smtps", "http", "https"].into_iter().find(|known| scheme.eq_ignore_ascii_case(known));
    Some((known.unwrap_or(""), rest))
}

/// Host and port; a port is what stands behind the last colon that is not an IPv6 address's.
fn host_port(text: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host, if after.is_empty() { "" } else { after.strip_prefix(':')? })
        }
        None => text.rsplit_once(':').filter(|(host, _)| !host.contains(':')).unwrap_or((text, "")),
    };
    let port = if port.is_empty() { default } else { port.parse().ok().filter(|port| *port > 0)? };
    let is_host = |octet: u8| octet.is_ascii_alphanumeric() || b".-_:%".contains(&octet) || !octet.is_ascii();
    (!host.is_empty() && host.bytes().all(is_host)).then(|| (host.to_owned(), port))
}

/// Text without its percent signs (RFC 3986 §2.1).
fn decoded(text: &str) -> Result<String, std::string::FromUtf8Error> {
    let mut octets = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&octet, after)) = rest.split_first() {
        let pair = after.split_at_checked(2).filter(|_| octet == b'%');
        let value = pair.and_then(|(pair, after)| {
            let pair = std::str::from_utf8(pair).ok()?;
            Some((u8::from_str_radix(pair, 16).ok()?, after))
        });
        let (octet, after) = value.unwrap_or((octet, after));
        octets.push(octet);
        rest = after;
    }
    String::from_utf8(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_servers_are_read() {
        let is = |text: &str, security, user: Option<&str>, host: &str, port| {
            let read = MailServer::parse(text).unwrap_or_else(|| panic!("{text}"));
            let wanted = (security, user.map(str::to_owned), host.to_owned(), port);
            assert_eq!((read.security, read.user.clone(), read.host.clone(), read.port), wanted, "{text}");
            assert_eq!(read.to_string(), text);
        };
        is("mail.example.com", MailSecurity::Clear, None, "mail.example.com", 25);
        is("mail.example.com:2525", MailSecurity::Clear, None, "mail.example.com", 2525);
        is("[::1]:26", MailSecurity::Clear, None, "::1", 26);
        is("[::1]", MailSecurity::Clear, None, "::1", 25);
        is("::1", MailSecurity::Clear, None, "::1", 25);
        is("smtp://mail.example.com", MailSecurity::StartTls, None, "mail.example.com", 587);
        is("SMTPS://a%3Ab@mail:4650", MailSecurity::Tls, Some("a:b"), "mail", 4650);
        is("smtps://ctsd@example.com@[::1]", MailSecurity::Tls, Some("ctsd@example.com"), "::1", 465);
        for wrong in [
            "",
            "mail:smtp",
            "mail:0",
            "user@mail",
            "smtps://",
            "smtps://@mail",
            "smtps://user:secret@mail",
            "http://mail",
            "smtp://mail/path",
            "mail host",
            "[::1",
            "[::1]26",
        ] {
            assert_eq!(MailServer::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn web_addresses_are_read() {
        let read = |text| WebAddress::parse(text).unwrap();
        let one = read("https://web.example.com:8443/ended?by=ctsd");
        assert_eq!((one.is_tls, one.host.as_str(), one.port), (true, "web.example.com", 8443));
        assert_eq!((one.authority.as_str(), one.path.as_str()), ("web.example.com:8443", "/ended?by=ctsd"));
        let one = read("http://[::1]?x");
        assert_eq!((one.is_tls, one.host.as_str(), one.port, one.path.as_str()), (false, "::1", 80, "/?x"));
        assert_eq!((read("https://a").port, read("https://a").path.as_str()), (443, "/"));
        for wrong in
            ["a", "ftp://a", "https://", "https://a b", "https://u:p@a", "https://a/#x", "http://a:x/"]
        {
            assert_eq!(WebAddress::parse(wrong), None, "{wrong}");
        }
    }
}
