//! LDAP URLs (RFC 4516): `ldap://host:port/dn?attributes?scope?filter?extensions`, each part optional.
//!
//! The DN is text here; whoever needs it as a name parses it. ACIs write URLs with raw blanks and asterisks in
//! the DN, so only `%` and `?` are looked at.

use std::borrow::Cow;
use std::fmt;

use super::filter::Filter;
use super::filter_text::{self, FilterTextError};
use super::message::Scope;

/// Why a text is not an LDAP URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It does not start with `ldap://` or `ldaps://`.
    #[error("an LDAP URL starts with ldap:// or ldaps://")]
    Scheme,
    /// The port is not a number up to 65535.
    #[error("the port is not a number up to 65535")]
    Port,
    /// A percent sign without two hexadecimal digits, or octets that are not UTF-8.
    #[error("a percent sign without two hexadecimal digits, or octets that are not UTF-8")]
    Encoding,
    /// The scope is none of base, one, sub and subordinates.
    #[error("the scope is none of base, one, sub and subordinates")]
    Scope,
    /// The filter is not one.
    #[error("the URL's filter is wrong: {0}")]
    Filter(#[from] FilterTextError),
    /// A critical extension; none is known.
    #[error("the URL has a critical extension")]
    CriticalExtension,
    /// More than five parts.
    #[error("the URL has too many parts")]
    Parts,
}

/// An LDAP URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LdapUrl {
    /// Whether it starts with `ldaps:`.
    pub is_tls: bool,
    /// The host; an IPv6 address without its brackets.
    pub host: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// The DN, decoded; empty if absent.
    pub dn: String,
    /// The attribute selection; empty for all user attributes.
    pub attributes: Vec<String>,
    /// The scope; base is meant if absent.
    pub scope: Option<Scope>,
    /// The filter; `(objectClass=*)` is meant if absent.
    pub filter: Option<Filter<'static>>,
}

impl LdapUrl {
    /// Reads a URL.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let is_tls = scheme.eq_ignore_ascii_case("ldaps");
        if !is_tls && !scheme.eq_ignore_ascii_case("ldap") {
            return Err(UrlError::Scheme);
        }
        let (authority, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = split_authority(authority)?;

        let mut parts = rest.split('?');
        let dn = decode(parts.next().unwrap_or_default())?.into_owned();
        let attributes = parts.next().unwrap_or_default();
        let attributes = attributes.split(',').filter(|name| !name.is_empty());
        let attributes =
            attributes.map(|name| decode(name).map(Cow::into_owned)).collect::<Result<_, _>>()?;
        let scope = parts.next().filter(|scope| !scope.is_empty()).map(scope_of).transpose()?;
        let filter = parts.next().filter(|filter| !filter.is_empty());
        let filter = filter.map(|text| Ok::<_, UrlError>(filter_text::parse(&decode(text)?)?)).transpose()?;
        if parts.next().is_some_and(|extensions| extensions.split(',').any(|one| one.starts_with('!'))) {
            return Err(UrlError::CriticalExtension);
        }
        if parts.next().is_some() {
            return Err(UrlError::Parts);
        }
        Ok(Self { is_tls, host, port, dn, attributes, scope, filter })
    }
}

type Authority = (Option<String>, Option<u16>);

fn split_authority(text: &str) -> Result<Authority, UrlError> {
    let (host, port) = if let Some(bracketed) = text.strip_prefix('[') {
        let (host, after) = bracketed.split_once(']').ok_or(UrlError::Encoding)?;
        let port = if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or(UrlError::Port)?) };
        (host, port)
    } else {
        text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
    };
    let host = decode(host)?;
    let port = port.map(|port| port.parse().map_err(|_| UrlError::Port)).transpose()?;
    Ok(((!host.is_empty()).then(|| host.into_owned()), port))
}

fn scope_of(text: &str) -> Result<Scope, UrlError> {
    let is = |name: &str| text.eq_ignore_ascii_case(name);
    if is("base") {
        Ok(Scope::Base)
    } else if is("one") || is("onelevel") {
        Ok(Scope::One)
    } else if is("sub") || is("subtree") {
        Ok(Scope::Subtree)
    } else if is("subordinates") || is("subordinate") {
        Ok(Scope::Subordinate)
    } else {
        Err(UrlError::Scope)
    }
}

/// Percent-decodes a part of a URL (RFC 3986 §2.1); the result must be UTF-8.
pub fn decode(text: &str) -> Result<Cow<'_, str>, UrlError> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        if octet != b'%' {
            decoded.push(octet);
            continue;
        }
        let mut digit = || char::from(octets.next()?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(UrlError::Encoding) };
        decoded.push(high << 4 | low);
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| UrlError::Encoding)
}

/// Percent-encodes what must not stand in a part of a URL as it is.
struct Encoded<'a>(&'a str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for octet in self.0.bytes() {
            match octet {
                b'?' | b'%' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | b'#' => {
                    write!(f, "%{octet:02X}")?;
                }
                0x21..=0x7e => write!(f, "{}", char::from(octet))?,
                _ => write!(f, "%{octet:02X}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for LdapUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_tls { "ldaps://" } else { "ldap://" })?;
        match &self.host {
            Some(host) if host.contains(':') => write!(f, "[{host}]")?,
            Some(host) => write!(f, "{}", Encoded(host))?,
            None => {}
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "/{}", Encoded(&self.dn))?;
        let scope = self.scope.map_or("", |scope| match scope {
            Scope::Base => "base",
            Scope::One => "one",
            Scope::Subtree => "sub",
            Scope::Subordinate => "subordinates",
        });
        if self.attributes.is_empty() && scope.is_empty() && self.filter.is_none() {
            return Ok(());
        }
        for (index, name) in self.attributes.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { "?" } else { "," }, Encoded(name))?;
        }
        if self.attributes.is_empty() {
            f.write_str("?")?;
        }
        if scope.is_empty() && self.filter.is_none() {
            return Ok(());
        }
        write!(f, "?{scope}")?;
        match &self.filter {
            Some(filter) => write!(f, "?{}", Encoded(&filter.to_string())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_the_rfc_and_of_acis_are_read() {
        let url =
            LdapUrl::parse("ldap:///o=University%20of%20Michigan,c=US??sub?(cn=Babs%20Jensen)").unwrap();
        assert_eq!(url.dn, "o=University of Michigan,c=US");
        assert_eq!(url.scope, Some(Scope::Subtree));
        assert_eq!(url.filter.unwrap().to_string(), "(cn=Babs Jensen)");
        let url = LdapUrl::parse("LDAP://ldap1.example.net:6666/c=GB?cn,sn?ONE").unwrap();
        assert_eq!((url.host.as_deref(), url.port), (Some("ldap1.example.net"), Some(6666)));
        assert_eq!((url.attributes.len(), url.scope), (2, Some(Scope::One)));
        let url = LdapUrl::parse("ldaps://[2001:db8::7]:636/").unwrap();
        assert_eq!((url.is_tls, url.host.as_deref(), url.port), (true, Some("2001:db8::7"), Some(636)));
        assert_eq!(LdapUrl::parse("ldap:///anyone").unwrap().dn, "anyone");
        assert_eq!(LdapUrl::parse("ldap:///uid=*, ou=My People,o=a").unwrap().dn, "uid=*, ou=My People,o=a");
        assert_eq!(LdapUrl::parse("ldap:///a%3fb").unwrap().dn, "a?b");
        assert_eq!(LdapUrl::parse("ldap://host").unwrap().dn, "");
    }

    #[test]
    fn wrong_urls_are_refused() {
        for (text, error) in [
            ("http:///a", UrlError::Scheme),
            ("ldap:/a", UrlError::Scheme),
            ("ldap://h:99999/", UrlError::Port),
            ("ldap:///%zz", UrlError::Encoding),
            ("ldap:///%ff", UrlError::Encoding),
            ("ldap:///??all", UrlError::Scope),
            ("ldap:///????!e-bindname=x", UrlError::CriticalExtension),
            ("ldap:///?????x", UrlError::Parts),
        ] {
            assert_eq!(LdapUrl::parse(text), Err(error), "{text}");
        }
        assert!(matches!(LdapUrl::parse("ldap:///???(a"), Err(UrlError::Filter(_))));
    }

    #[test]
    fn urls_go_round() {
        for text in
            ["ldap:///", "ldap://h/cn=a%20b?x,y", "ldaps://[::1]:636/o=a??sub?(a=%5C2a)", "ldap:///??base"]
        {
            assert_eq!(LdapUrl::parse(text).unwrap().to_string(), text);
        }
    }
}
