//! What a row says, and how it is shown.

use std::collections::BTreeMap;

use ctsd::protocol::message::Scope;

use crate::fixture::SUFFIX;
use crate::world::{World, until};

/// Where a property's effect is seen.
pub(crate) enum Seen {
    /// At once: false before it is set, true after.
    Live(fn(&World) -> bool),
    /// At once; what it looks like before is not looked at.
    After(fn(&World) -> bool),
    /// False until the restart that the answer asks for.
    Restart(fn(&World) -> bool),
    /// It has none: the answer says so.
    Kept,
    /// It cannot be set so: exit code, and what is said.
    Refused(i32, &'static str),
    /// Nothing outside the process shows it: in a test elsewhere, file and function. Here it is set, read back and kept.
    Elsewhere(&'static str, &'static str),
}

/// A property of an object.
pub(crate) struct Row {
    /// The kind as `dsconfig list-properties` names it, with the type where kinds have several.
    pub(crate) kind: &'static str,
    /// The options that name the object, as they are typed.
    pub(crate) object: &'static str,
    /// Its DN.
    pub(crate) dn: &'static str,
    pub(crate) property: &'static str,
    /// What is set; `{name}` is filled in by the round.
    pub(crate) values: &'static [&'static str],
    pub(crate) seen: Seen,
}

/// A row: `row(object, property, values, effect)`.
pub(crate) const fn row(
    (kind, object, dn): Object,
    property: &'static str,
    values: &'static [&'static str],
    seen: Seen,
) -> Row {
    Row { kind, object, dn, property, values, seen }
}

/// Kind, options and DN.
pub(crate) type Object = (&'static str, &'static str, &'static str);

// What more than one table has rows of.
pub(crate) const ADMIN: Object = ("administration-connector", "", "cn=Administration Connector,cn=config");
pub(crate) const DATA: Object =
    ("backend (je)", "--backend-name userRoot", "ds-cfg-backend-id=userRoot,cn=Backends,cn=config");
pub(crate) const ERRORS: Object = (
    "log-publisher (file-based-error)",
    "--publisher-name \"File-Based Error Logger\"",
    "cn=File-Based Error Logger,cn=Loggers,cn=config",
);
pub(crate) const GLOBAL: Object = ("global-configuration", "", "cn=config");
pub(crate) const POLICY: Object = (
    "password-policy",
    "--policy-name \"Default Password Policy\"",
    "cn=Default Password Policy,cn=Password Policies,cn=config",
);
pub(crate) const TASKS: Object =
    ("backend (task)", "--backend-name tasks", "ds-cfg-backend-id=tasks,cn=Backends,cn=config");

/// One server, and the rows that are set on it together.
pub(crate) struct Round {
    pub(crate) name: &'static str,
    /// Makes what the rows work on, and says what stands for `{name}`s.
    pub(crate) prepare: fn(&mut World) -> Vec<(&'static str, String)>,
    /// After the restart: ports that have moved.
    pub(crate) moved: fn(&mut World, &[(&'static str, String)]),
    pub(crate) rows: &'static [Row],
}

pub(crate) fn nothing(_: &mut World) -> Vec<(&'static str, String)> {
    Vec::new()
}

pub(crate) fn stays(_: &mut World, _: &[(&'static str, String)]) {}

/// All rounds.
const ALL: &[&[Round]] = &[
    crate::backend::ROUNDS,
    crate::certificates::ROUNDS,
    crate::credentials::ROUNDS,
    crate::global::ROUNDS,
    crate::handlers::ROUNDS,
    crate::kept::ROUNDS,
    crate::logs::ROUNDS,
    crate::tasks::ROUNDS,
];

fn quoted(text: &str) -> String {
    format!("'{text}'")
}

impl Row {
    fn noun(&self) -> &'static str {
        self.kind.split(' ').next().unwrap()
    }

    fn values(&self, names: &[(&'static str, String)]) -> Vec<String> {
        let fill = |value: &&str| {
            let mut value = (*value).replace("SUFFIX", SUFFIX);
            for (name, text) in names {
                value = value.replace(&format!("{{{name}}}"), text);
            }
            value
        };
        self.values.iter().map(fill).collect()
    }

    fn set(&self, names: &[(&'static str, String)]) -> String {
        let mut line = format!("set-{}-prop {}", self.noun(), self.object);
        for value in self.values(names) {
            line.push_str(&format!(" --set {}", quoted(&format!("{}:{value}", self.property))));
        }
        line
    }

    fn title(&self) -> String {
        format!("{} {} of {}", self.kind, self.property, self.dn)
    }
}

/// Sets the rows of a round, looks at them, starts the server anew, and looks again.
pub(crate) fn play(round: &Round) {
    let mut world = World::new();
    let names = (round.prepare)(&mut world);
    let rows = || round.rows.iter();
    for row in rows() {
        if let Seen::Live(seen) | Seen::Restart(seen) = row.seen {
            assert!(!seen(&world), "{}: {} is seen before it is set", round.name, row.title());
        }
    }
    let is_refused = |row: &&Row| matches!(row.seen, Seen::Refused(..));
    for row in rows().filter(is_refused) {
        let Seen::Refused(code, part) = row.seen else { continue };
        let file = world.server.file("refused.txt", &row.set(&names));
        let said = world.dsconfig(&["--batchFilePath", &file]).refused(code);
        assert!(said.contains(part), "{}: {said}", row.title());
    }
    let rows = || rows().filter(|row| !is_refused(row));
    let batch: Vec<String> = rows().map(|row| row.set(&names)).collect();
    let file = world.server.file("set.txt", &batch.join("\n"));
    let ran = world.dsconfig(&["--batchFilePath", &file]);
    assert_eq!(ran.code, 0, "{}: {ran:?}", round.name);
    check_notes(round, &ran.err);
    let look = |world: &World, is_restarted: bool| {
        check_values(round, world, &names);
        for row in rows() {
            match row.seen {
                Seen::Live(seen) | Seen::After(seen) => until(&row.title(), || seen(world)),
                Seen::Restart(seen) if is_restarted => until(&row.title(), || seen(world)),
                Seen::Restart(seen) => {
                    assert!(!seen(world), "{}: {} needs no restart", round.name, row.title());
                }
                _ => {}
            }
        }
    };
    look(&world, false);
    world.restart();
    (round.moved)(&mut world, &names);
    look(&world, true);
}

/// The tool's answer says of each property what it takes, as often as it was set.
fn check_notes(round: &Round, said: &str) {
    let mut wanted: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let is_elsewhere = |row: &Row| matches!(row.seen, Seen::Elsewhere(..));
    let elsewhere = |name: &str| round.rows.iter().any(|row| row.property == name && is_elsewhere(row));
    for row in round.rows.iter().filter(|row| !elsewhere(row.property)) {
        let (kept, restarts) = wanted.entry(row.property).or_default();
        match row.seen {
            Seen::Kept => *kept += 1,
            Seen::Restart(_) => *restarts += 1,
            _ => {}
        }
    }
    for (property, (kept, restarts)) in wanted {
        let count = |text: &str| said.matches(&format!("ds-cfg-{property} {text}")).count();
        let is = (count("is kept but has no effect: "), count("takes effect when "));
        assert_eq!(is, (kept, restarts), "{}: no effect, restarts of {property}:\n{said}", round.name);
    }
}

/// The tool and `cn=config` show what was set.
fn check_values(round: &Round, world: &World, names: &[(&'static str, String)]) {
    let rows: Vec<&Row> = round.rows.iter().filter(|row| !matches!(row.seen, Seen::Refused(..))).collect();
    let gets: Vec<String> = rows
        .iter()
        .map(|row| {
            format!("get-{}-prop {} -s --advanced --property {}", row.noun(), row.object, row.property)
        })
        .collect();
    let file = world.server.file("get.txt", &gets.join("\n"));
    let said = world.dsconfig(&["--batchFilePath", &file]).ok();
    let shown: Vec<&str> = said.lines().filter(|line| !line.starts_with("get-")).collect();
    assert_eq!(shown.len(), rows.len(), "{}: {said}", round.name);
    let found = world.root().search("cn=config", Scope::Subtree, "(objectClass=*)", &[]);
    for (row, line) in rows.into_iter().zip(shown) {
        let values = row.values(names);
        let mut wanted = values.clone();
        wanted.sort();
        let mut cells: Vec<&str> = line.split('\t').collect();
        assert_eq!(cells.remove(0), row.property, "{line}");
        // Names and instructions stand in quotation marks.
        let bare = |cell: &&str| {
            cell.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(cell).to_owned()
        };
        // Other objects are shown by their names.
        let whole = |cell: String| {
            let start = format!("cn={cell},cn=");
            let named = |value: &&String| value.starts_with(&start) && value.ends_with(",cn=config");
            wanted.iter().find(named).cloned().unwrap_or(cell)
        };
        let mut cells: Vec<String> = cells.iter().map(bare).map(whole).collect();
        cells.sort_unstable();
        assert_eq!(cells, wanted, "{}", row.title());
        let is_it = |dn: &str| dn.eq_ignore_ascii_case(row.dn);
        let entry = found.found.iter().find(|entry| is_it(&entry.dn));
        let entry = entry.unwrap_or_else(|| panic!("cn=config has no {}", row.dn));
        let mut held = entry.texts(&format!("ds-cfg-{}", row.property));
        held.sort();
        assert_eq!(held, wanted, "{} in cn=config", row.title());
    }
}

/// What the program has: kind and property, and when it says that a change takes effect.
fn of_the_program() -> BTreeMap<String, String> {
    let listed = crate::fixture::program().args(["dsconfig", "list-properties", "-s", "--advanced"]).output();
    let text = String::from_utf8(listed.unwrap().stdout).unwrap();
    let cells = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    cells.map(|cells| (cells[0].to_owned(), cells.last().unwrap().to_string())).collect()
}

#[test]
fn every_property_of_the_program_has_a_row_and_the_other_way_round() {
    let program = of_the_program();
    let mut rows: BTreeMap<String, Vec<&Row>> = BTreeMap::new();
    for row in ALL.iter().flat_map(|rounds| rounds.iter()).flat_map(|round| round.rows) {
        rows.entry(format!("{} {}", row.kind, row.property)).or_default().push(row);
    }
    let missing: Vec<&String> = program.keys().filter(|name| !rows.contains_key(*name)).collect();
    assert!(missing.is_empty(), "{} properties without a row: {missing:#?}", missing.len());
    for (name, rows) in rows {
        let when = program.get(&name).unwrap_or_else(|| panic!("the program has no {name}"));
        for row in rows {
            let fits = match row.seen {
                Seen::Kept => when.starts_with("never: "),
                Seen::Restart(_) => when.starts_with("after a restart of "),
                Seen::Live(_) | Seen::After(_) => when == "at once",
                Seen::Elsewhere(..) => when == "at once" || when.starts_with("after a restart of "),
                Seen::Refused(..) => true,
            };
            assert!(fits, "{name}: the program says \"{when}\"");
            let Seen::Elsewhere(file, function) = row.seen else { continue };
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(text.contains(&format!("fn {function}(")), "{name}: {file} has no test {function}");
        }
    }
}
