//! Addresses of the bind rule `ip`.

use std::net::IpAddr;

use super::aci_text::Quoted;
use super::right::AciError;

/// Addresses of clients, as `ds-cfg-allowed-client` and `ds-cfg-denied-client` name them: the forms of the bind rule
/// `ip`. Host names are left to who can resolve them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientAddresses(Vec<Network>);

impl ClientAddresses {
    /// Reads the texts; those that are no addresses are left out.
    pub fn of(texts: &[String]) -> Self {
        Self(texts.iter().filter_map(|text| Network::parse(text.trim())).collect())
    }

    /// The texts that are no addresses: host names.
    pub fn host_names(texts: &[String]) -> impl Iterator<Item = &str> {
        texts.iter().map(|text| text.trim()).filter(|text| Network::parse(text).is_none())
    }

    /// Whether the address is among them.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.has(address))
    }
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    is_v4: bool,
    bits: u128,
    mask: u128,
}

impl Network {
    /// Addresses separated by commas: `10.0.0.1`, `10.0.0.0/8`, `10.0.0.0+255.0.0.0`, `10.*`, `::1`, `[2001:db8::]/32`.
    pub(super) fn parse_list(value: Quoted<'_>) -> Result<Vec<Self>, AciError> {
        let mut offset = value.offset;
        value
            .text
            .split(',')
            .map(|part| {
                let at = offset + part.len() - part.trim_start().len();
                offset += part.len() + 1;
                Self::parse(part.trim()).ok_or_else(|| AciError {
                    offset: at,
                    reason: "expected an address, address/bits, address+mask, or an IPv4 address with `*`"
                        .into(),
                })
            })
            .collect()
    }

    fn parse(text: &str) -> Option<Self> {
        if text.contains('*') {
            return Self::parse_wildcards(text);
        }
        let (address, mask) = match text.find(['/', '+']) {
            Some(at) => (text.get(..at)?, text.get(at..)),
            None => (text, None),
        };
        let address = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address);
        let address: IpAddr = address.parse().ok()?;
        let (bits, width) = number(address);
        let all = u128::MAX >> (128 - width);
        let mask = match mask.and_then(|mask| mask.split_at_checked(1)) {
            None => all,
            Some(("/", length)) => {
                let length: u32 = length.parse().ok().filter(|length| *length <= width)?;
                all & !all.checked_shr(length).unwrap_or(0)
            }
            Some((_, mask)) => {
                let mask: IpAddr = mask.parse().ok()?;
                if mask.is_ipv4() != address.is_ipv4() {
                    return None;
                }
                number(mask).0
            }
        };
        Some(Self { is_v4: width == 32, bits: bits & mask, mask })
    }

    /// `10.0.0.*`, `10.*`: the wildcards come last and stand for whole octets.
    fn parse_wildcards(text: &str) -> Option<Self> {
        let (mut bits, mut mask, mut parts) = (0_u128, 0_u128, 0_u32);
        let mut wild = false;
        for part in text.split('.') {
            parts += 1;
            bits <<= 8;
            mask <<= 8;
            if part == "*" {
                wild = true;
            } else if wild {
                return None;
            } else {
                bits |= u128::from(part.parse::<u8>().ok()?);
                mask |= 0xff;
            }
        }
        let missing = 8 * 4_u32.checked_sub(parts)?;
        Some(Self { is_v4: true, bits: bits << missing, mask: mask << missing })
    }

    /// Whether the address is one of them. An IPv4 address that came in IPv6's clothes counts as IPv4.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.is_v4 && number(address).0 & self.mask == self.bits
    }
}

fn number(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(list: &str, address: &str) -> bool {
        let networks = Network::parse_list(Quoted { offset: 0, text: list }).unwrap();
        networks.iter().any(|network| network.has(address.parse().unwrap()))
    }

    #[test]
    fn ranges() {
        for (list, inside, outside) in [
            ("10.0.0.1", "10.0.0.1", "10.0.0.2"),
            ("10.0.0.1, 10.0.0.3", "10.0.0.3", "10.0.0.2"),
            ("10.1.0.0/16", "10.1.255.1", "10.2.0.1"),
            ("10.1.0.0+255.255.0.0", "10.1.255.1", "10.2.0.1"),
            ("10.1.*", "10.1.255.1", "10.2.0.1"),
            ("10.1.2.*", "10.1.2.7", "10.1.3.7"),
            ("10.1.*.*", "10.1.2.7", "11.1.3.7"),
            ("0.0.0.0/0", "1.2.3.4", "::1"),
            ("::1", "::1", "::2"),
            ("[2001:db8::]/32", "2001:db8:1::", "2001:db9::"),
            ("127.0.0.1", "::ffff:127.0.0.1", "::7f00:1"),
            ("::/0", "::2", "0.0.0.2"),
        ] {
            assert!(has(list, inside), "{list} {inside}");
            assert!(!has(list, outside), "{list} {outside}");
        }
    }

    #[test]
    fn faults() {
        for list in [
            "",
            "10.0.0",
            "10.0.0.1/33",
            "*.0.0.1",
            "10.*.1.*",
            "10.0.0.1+::1",
            "1.2.3.4.*",
            "x",
            "10.0.0.1,",
        ] {
            assert!(Network::parse_list(Quoted { offset: 5, text: list }).is_err(), "{list}");
        }
        assert_eq!(Network::parse_list(Quoted { offset: 5, text: "::1, x" }).unwrap_err().offset, 10);
    }
}
