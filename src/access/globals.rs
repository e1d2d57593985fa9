//! The global ACIs that a new instance starts with, and the ACIs of an account for OpenAM.

/// Root DSE attributes that anyone may read.
const ROOT_DSE: &str = "objectClass || namingContexts || ds-private-naming-contexts || supportedControl || supportedExtension \
|| supportedFeatures || supportedSASLMechanisms || supportedLDAPVersion || supportedAuthPasswordSchemes || supportedTLSProtocols \
|| supportedTLSCiphers || vendorName || vendorVersion || subschemaSubentry || entryDN || structuralObjectClass || changelog \
|| firstChangeNumber || lastChangeNumber || lastExternalChangelogCookie";

const SCHEMA: &str = "objectClass || cn || attributeTypes || objectClasses || ldapSyntaxes || matchingRules || matchingRuleUse \
|| nameForms || dITContentRules || dITStructureRules";

const OPERATIONAL: &str = "createTimestamp || creatorsName || modifiersName || modifyTimestamp || entryDN || entryUUID \
|| subschemaSubentry || etag || governingStructureRule || structuralObjectClass || hasSubordinates || numSubordinates || isMemberOf";

/// What the owner of an account may change of it.
const PERSONAL: &str = "audio || authPassword || description || displayName || givenName || homePhone || homePostalAddress \
|| initials || jpegPhoto || labeledURI || mobile || pager || postalAddress || postalCode || preferredLanguage \
|| telephoneNumber || userPassword";

/// Extended operations anyone may use: password policy state and the like, Password Modify, StartTLS, Who am I; and
/// Cancel, which only ever touches the client's own operations.
const EXTENDED: &str = "1.3.6.1.4.1.26027.1.6.1 || 1.3.6.1.4.1.26027.1.6.3 || 1.3.6.1.4.1.4203.1.11.1 \
|| 1.3.6.1.4.1.1466.20037 || 1.3.6.1.4.1.4203.1.11.3 || 1.3.6.1.1.8";

/// Controls anyone may use: ManageDsaIT, real attributes only, virtual attributes only, authorization identity, no-op,
/// password policy, permissive modify, transaction id.
const CONTROLS_ANYONE: &str = "2.16.840.1.113730.3.4.2 || 2.16.840.1.113730.3.4.17 || 2.16.840.1.113730.3.4.19 \
|| 2.16.840.1.113730.3.4.16 || 1.3.6.1.4.1.4203.1.10.2 || 1.3.6.1.4.1.42.2.27.8.5.1 || 1.2.840.113556.1.4.1413 \
|| 1.3.6.1.4.1.36733.2.1.5.1";

/// Controls whoever has authenticated may use: assertion, pre- and post-read, paged results, matched values, proxied
/// authorization v2, virtual list view, server-side sort, account usability; and subentries.
const CONTROLS_AUTHENTICATED: &str = "1.3.6.1.1.12 || 1.3.6.1.1.13.1 || 1.3.6.1.1.13.2 || 1.2.840.113556.1.4.319 \
|| 1.2.826.0.1.3344810.2.3 || 2.16.840.1.113730.3.4.18 || 2.16.840.1.113730.3.4.9 || 1.2.840.113556.1.4.473 \
|| 1.3.6.1.4.1.42.2.27.9.5.9 || 1.3.6.1.4.1.4203.1.10.1";

/// The global ACIs of a new instance (features.md §5.4). Closed: user attributes of entries are for nobody that no other
/// ACI names, and so are entries as a whole. With `compat` anyone may look at them, as with the reference: tokens are
/// then world-readable.
pub fn default_globals(compat: bool) -> Vec<String> {
    const ANYONE: &str = "ldap:///anyone";
    const ALL: &str = "ldap:///all";
    const OWN: &str = "ldap:///self";
    let aci = |targets: &str, name: &str, rights: &str, who: &str| {
        format!("{targets}(version 3.0; acl \"{name}\"; allow ({rights}) userdn=\"{who}\";)")
    };
    let look = "read,search,compare";
    let mut all = vec![
        aci(&format!("(extop=\"{EXTENDED}\")"), "Extended operations for anyone", "read", ANYONE),
        aci(&format!("(targetcontrol=\"{CONTROLS_ANYONE}\")"), "Controls for anyone", "read", ANYONE),
        aci(
            &format!("(targetcontrol=\"{CONTROLS_AUTHENTICATED}\")"),
            "Controls for the authenticated",
            "read",
            ALL,
        ),
        aci(
            &format!("(target=\"ldap:///\")(targetscope=\"base\")(targetattr=\"{ROOT_DSE}\")"),
            "Root DSE for anyone",
            look,
            ANYONE,
        ),
        aci(
            &format!("(target=\"ldap:///cn=schema\")(targetscope=\"base\")(targetattr=\"{SCHEMA}\")"),
            "Schema for anyone",
            look,
            ANYONE,
        ),
        aci(
            &format!("(targetattr=\"{OPERATIONAL}\")"),
            "Operational attributes of entries that one may see",
            look,
            ANYONE,
        ),
        aci(&format!("(targetattr=\"{PERSONAL}\")"), "Own personal attributes", "write", OWN),
        aci("(targetattr=\"userPassword || authPassword\")", "Own passwords", look, OWN),
    ];
    if compat {
        let hidden = "userPassword || authPassword || debugsearchindex || changes || changeNumber || changeType || changeTime \
|| targetDN || newRDN || newSuperior || deleteOldRDN";
        all.push(aci(
            &format!("(targetattr!=\"{hidden}\")"),
            "All user attributes for anyone (tokens too)",
            look,
            ANYONE,
        ));
    }
    all
}

/// The ACIs that let an account serve OpenAM as its token store, and no more; for the entry that holds the tokens (the
/// container, or the suffix where tokens lie right under it). `user_dn` is the account's DN.
pub fn cts_account_acis(user_dn: &str) -> Vec<String> {
    let mut encoded = String::with_capacity(user_dn.len());
    for character in user_dn.chars() {
        match character {
            '%' => encoded.push_str("%25"),
            '"' => encoded.push_str("%22"),
            '|' => encoded.push_str("%7c"),
            '?' => encoded.push_str("%3f"),
            '*' => encoded.push_str("%2a"),
            other => encoded.push(other),
        }
    }
    let aci = |targets: &str, name: &str, rights: &str| {
        format!("{targets}(version 3.0; acl \"{name}\"; allow ({rights}) userdn=\"ldap:///{encoded}\";)")
    };
    vec![
        aci("(targetattr=\"*\")", "CTS: look at and update tokens", "read,search,compare,write"),
        aci("", "CTS: add and delete tokens", "add,delete"),
        aci("(targetcontrol=\"2.16.840.1.113730.3.4.3\")", "CTS: persistent search", "read"),
    ]
}
