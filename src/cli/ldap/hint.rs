//! What usually went wrong when a command that was copied from a guide does not work.

/// Text in which the shell should have put a variable, or `sed` a word: `$ROOT_SUFFIX`, `@DB_NAME@`.
fn placeholder(text: &str) -> Option<(&str, bool)> {
    let is_word = |word: &str| word.len() > 1 && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if let Some((_, after)) = text.split_once('$') {
        let after = after.strip_prefix('{').unwrap_or(after);
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let word = after.get(..end).unwrap_or_default();
        if is_word(word) {
            return Some((word, true));
        }
    }
    let mut parts = text.split('@').skip(1);
    let word = parts.next()?;
    parts.next()?;
    is_word(word).then_some((word, false))
}

/// Why a name may be wrong, from how it looks.
pub(in crate::cli) fn about_name(name: &str) -> Option<String> {
    if let Some((word, is_variable)) = placeholder(name) {
        return Some(if is_variable {
            format!(
                "the name holds \"${word}\" itself: the shell replaces a variable only outside single quotes, as in \
                 sed -e \"s/…/${word}/\""
            )
        } else {
            format!("the name holds \"@{word}@\", which was to be replaced: sed -e 's/@{word}@/…/'")
        });
    }
    if name.matches('"').count() % 2 == 1 || name.starts_with('"') || name.contains("=\"") {
        return Some(format!(
            "the name {name} holds a quotation mark: is one misplaced on the command line?"
        ));
    }
    None
}

/// Why arguments may be wrong, from how they look: an option swallowed by a quotation, a name cut at a blank.
pub(in crate::cli) fn about_arguments(arguments: &[String]) -> Option<String> {
    let bind_dn = arguments
        .windows(2)
        .find_map(|pair| match pair {
            [option, value] if option == "--bindDN" || option == "-D" => Some(value.as_str()),
            _ => None,
        })
        .or_else(|| arguments.iter().find_map(|argument| argument.strip_prefix("--bindDN=")));
    let swallowed = arguments.iter().find(|argument| {
        let is_value = argument.contains(":(") || argument.contains("# ");
        !is_value && (argument.contains(" --") || argument.contains("\n--") || argument.contains("\\\n"))
    });
    if let Some(swallowed) = swallowed {
        // No more than the first word: a password may follow.
        let start = swallowed.split_whitespace().next().unwrap_or_default();
        let place = bind_dn.map_or_else(String::new, |dn| {
            format!(" (--bindDN is \"{dn}\"; was \"cn=Directory Manager\" meant?)")
        });
        return Some(format!(
            "a quotation mark is misplaced: what follows \"{start}\" was taken for one argument with it{place}"
        ));
    }
    let dn = bind_dn?;
    if let Some(hint) = about_name(dn) {
        return Some(format!("--bindDN: {hint}"));
    }
    let follows = arguments.iter().any(|argument| argument.starts_with("Manager"));
    (dn == "cn=Directory" && follows).then(|| {
        "--bindDN is \"cn=Directory\": a quotation mark is missing or misplaced, write --bindDN \"cn=Directory Manager\""
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(arguments: &[&str]) -> Vec<String> {
        arguments.iter().map(|&argument| argument.to_owned()).collect()
    }

    #[test]
    fn literal_variables_and_markers_are_seen() {
        assert!(about_name("ou=tokens,$ROOT_SUFFIX").unwrap().contains("\"$ROOT_SUFFIX\" itself"));
        assert!(about_name("ou=tokens,${ROOT_SUFFIX}").unwrap().contains("$ROOT_SUFFIX"));
        let hint =
            about_name("ds-cfg-attribute=x,cn=Index,ds-cfg-backend-id=@DB_NAME@,cn=Backends,cn=config");
        assert!(hint.unwrap().contains("@DB_NAME@"));
        assert!(about_name("cn=\"Directory").unwrap().contains("quotation mark"));
        for right in ["cn=a$ b", "mail=a@b.example,dc=c", "dc=cts,dc=example,dc=com", "cn=5$"] {
            assert_eq!(about_name(right), None, "{right}");
        }
    }

    #[test]
    fn the_guides_stray_quotation_mark_is_seen() {
        // What a shell makes of: --bindDN "cn="Directory Manager" \ --bindPassword password … "x * * * *"
        let arguments = list(&[
            "--port",
            "4444",
            "--bindDN",
            "cn=Directory",
            "Manager \\\n--bindPassword password \\\n--recurringTask x",
            "*",
        ]);
        assert!(about_arguments(&arguments).unwrap().contains("misplaced"));
        let arguments = list(&["--bindDN", "cn=Directory", "Manager", "--bindPassword", "password"]);
        assert!(about_arguments(&arguments).unwrap().contains("cn=Directory Manager"));
        let arguments = list(&["--bindDN", "cn=\"Directory Manager", "-p", "1389"]);
        assert!(about_arguments(&arguments).unwrap().contains("quotation mark"));
        let arguments = list(&["--bindDN", "cn=Directory Manager", "--add", "global-aci:(a)(b --c)"]);
        assert_eq!(about_arguments(&arguments), None);
    }
}
