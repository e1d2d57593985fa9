//! Batch files: one command a line, in words as a shell parts them.

/// A command of a batch file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Number of its first line, from one.
    pub(super) number: usize,
    pub(super) words: Vec<String>,
}

/// Reads a batch file. Empty lines and lines that start with `#` are nothing; a line that ends with `\` goes on in the
/// next one; quotation marks keep blanks (within single ones all stands for itself, within double ones `\"` and `\\` do).
/// The error names the line.
pub(super) fn parse(text: &str) -> Result<Vec<Line>, String> {
    let mut commands = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let number = index + 1;
        if is_nothing(line) {
            continue;
        }
        let mut whole = line.trim_end().to_owned();
        while let Some(start) = whole.strip_suffix('\\') {
            let start = start.trim_end().to_owned();
            // A comment between the parts of a command is left out.
            let next = lines.by_ref().map(|(_, next)| next).find(|next| !next.trim_start().starts_with('#'));
            whole = match next {
                Some(next) => format!("{start} {}", next.trim()),
                None => start,
            };
        }
        let mut words = split(&whole).map_err(|reason| format!("line {number}: {reason}"))?;
        if words.first().is_some_and(|word| word == "dsconfig" || word.ends_with("/dsconfig")) {
            words.remove(0);
        }
        if !words.is_empty() {
            commands.push(Line { number, words });
        }
    }
    Ok(commands)
}

fn is_nothing(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

/// Parts a line into words.
pub(super) fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            c if c.is_whitespace() => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err("a single quotation mark is not closed".to_owned()),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next() {
                        Some('"') => break,
                        Some('\\') => match characters.next_if(|c| matches!(c, '"' | '\\' | '$' | '`')) {
                            Some(escaped) => word.push(escaped),
                            None => word.push('\\'),
                        },
                        Some(c) => word.push(c),
                        None => return Err("a double quotation mark is not closed".to_owned()),
                    }
                }
            }
            '\\' => word.get_or_insert_default().extend(characters.next()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// A word as a shell reads it back.
pub(super) fn quote(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.,:/=@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<Vec<String>> {
        parse(text).unwrap().into_iter().map(|line| line.words).collect()
    }

    #[test]
    fn comments_continuations_and_quotes() {
        let text = "# indexes\n\n  # more\ncreate-backend-index \\\n  --backend-name userRoot \\\n# why\n  \
                    --index-name 'coreTokenDate02' --set index-type:equality\n\
                    dsconfig set-global-configuration-prop --set \"size-limit:10\"\n";
        let found = parse(text).unwrap();
        assert_eq!(found.iter().map(|line| line.number).collect::<Vec<_>>(), [4, 8]);
        assert_eq!(
            found[0].words,
            [
                "create-backend-index",
                "--backend-name",
                "userRoot",
                "--index-name",
                "coreTokenDate02",
                "--set",
                "index-type:equality"
            ]
        );
        assert_eq!(found[1].words, ["set-global-configuration-prop", "--set", "size-limit:10"]);
        assert_eq!(words("a \\\n"), [["a"]]);
    }

    #[test]
    fn nested_quotes_stay() {
        let aci = r#"global-aci:(target = "ldap:///cn=schema")(version 3.0; acl "Modify schema"; allow (write) userdn = "ldap:///uid=a";)"#;
        assert_eq!(words(&format!("set --add '{aci}'")), [["set", "--add", aci]]);
        let escaped = aci.replace('"', "\\\"");
        assert_eq!(words(&format!("set --add \"{escaped}\"")), [["set", "--add", aci]]);
        assert_eq!(words(r#"a "b c"'d e'f\ g "" "h\i""#), [["a", "b cd ef g", "", "h\\i"]]);
        assert_eq!(parse("a\nb 'c").unwrap_err(), "line 2: a single quotation mark is not closed");
        assert!(parse("b \"c").unwrap_err().contains("double"));
    }

    proptest! {
        #[test]
        fn quoted_words_are_read_back(list in prop::collection::vec("\\PC{0,12}", 1..5)) {
            let line = list.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(split(&line).unwrap(), list);
        }
    }
}
