//! Tools that ask, at a terminal of the test's own.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::fixture::{SUFFIX, Server};

/// A tool, and who sits in front of it.
struct Terminal {
    child: Child,
    keys: File,
    screen: Receiver<String>,
    /// What was shown and not looked at yet.
    shown: String,
}

impl Terminal {
    fn of(server: &Server, tool: &str, arguments: &[&str]) -> Self {
        let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&near).unwrap();
        unlockpt(&near).unwrap();
        let name = ptsname(&near, Vec::new()).unwrap();
        let far = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let end = |far: &OwnedFd| Stdio::from(far.try_clone().unwrap());
        let mut command = server.command(tool, arguments);
        command.stdin(end(&far)).stdout(end(&far)).stderr(end(&far));
        let child = command.spawn().unwrap();
        let keys = File::from(near);
        let mut eyes = keys.try_clone().unwrap();
        let (sender, screen) = channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // The end of the tool is an error here.
            while let Ok(octets) = eyes.read(&mut piece) {
                let text = String::from_utf8_lossy(&piece[..octets]).replace('\r', "");
                if octets == 0 || sender.send(text).is_err() {
                    return;
                }
            }
        });
        Self { child, keys, screen, shown: String::new() }
    }

    /// Waits for a text; gives what was shown up to its end.
    #[track_caller]
    fn sees(&mut self, text: &str) -> String {
        let until = Instant::now() + Duration::from_secs(180);
        loop {
            if let Some(at) = self.shown.find(text) {
                let rest = self.shown.split_off(at + text.len());
                return std::mem::replace(&mut self.shown, rest);
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(more) => self.shown.push_str(&more),
                Err(_) => panic!("{text:?} is not shown, but {:?}", self.shown),
            }
        }
    }

    fn types(&mut self, line: &str) {
        self.keys.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Chooses the item of a menu that begins with this text.
    #[track_caller]
    fn chooses(&mut self, item: &str) {
        let menu = self.sees("Enter choice [");
        let found = menu.lines().find_map(|line| {
            let (number, label) = line.trim().split_once(")  ")?;
            label.starts_with(item).then(|| number.to_owned())
        });
        self.types(&found.unwrap_or_else(|| panic!("no {item} in {menu}")));
        self.sees("]: ");
    }

    #[track_caller]
    fn ends(mut self) {
        self.screen.iter().for_each(|more| self.shown.push_str(&more));
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.shown);
    }
}

#[test]
fn manage_tasks_offers_a_menu() {
    let server = Server::started(&[]);
    let later = ["--start", "20990101000000Z"];
    let said = server.run("backup", &[&["-n", "userRoot"], &later[..]].concat()).ok();
    let id = said.split_whitespace().nth(2).unwrap().to_owned();
    let mut person = Terminal::of(&server, "manage-tasks", &[]);
    let menu = person.sees("Enter choice [q]: ");
    assert!(menu.contains(&format!("     1)  {id}  Backup  Waiting on start time\n")), "{menu}");
    assert!(menu.contains("         ID"), "{menu}");
    person.types("7");
    person.sees("Please enter a number from 1 to 1, r or c or q.\nEnter choice [q]: ");
    person.types("1");
    let details = person.sees("Enter choice [q]: ");
    assert!(details.contains("Task Details") && details.contains("20990101000000Z"), "{details}");
    person.types("b");
    person.sees("Enter choice [q]: ");
    person.types("c");
    person.sees("Which one is to be canceled?");
    person.chooses(&id);
    person.sees(&format!("Task {id} canceled"));
    let menu = person.sees("Enter choice [q]: ");
    assert!(menu.contains("Canceled before starting"), "{menu}");
    // There is nothing more to cancel.
    person.types("c");
    person.sees("No tasks exist");
    person.sees("Enter choice [q]: ");
    person.types("b");
    person.sees("Enter choice [q]: ");
    person.types("q");
    person.ends();
    let dn = format!("ds-task-id={id},cn=Scheduled Tasks,cn=Tasks");
    assert_eq!(server.values(&dn, "ds-task-state"), ["CANCELED_BEFORE_STARTING"]);
}

#[test]
fn dsconfig_makes_objects_of_every_type_by_asking() {
    let server = Server::started(&[]);
    let port = server.admin.to_string();
    let mut person = Terminal::of(&server, "dsconfig", &["--port", &port, "--trustAll", "--displayCommand"]);
    person.sees("Password for user 'cn=Directory Manager': ");
    person.types("password");

    // A publisher of a type that is not the first.
    person.chooses("Log Publisher");
    person.chooses("create-log-publisher");
    person.sees("Name of the new Log Publisher: ");
    person.types("My JSON");
    person.chooses("json-file-access");
    person.sees("Property: ");
    person.types("log-fil:wrong");
    person.sees("Property: ");
    for typed in ["log-file:logs/my.json", "enabled:true", ""] {
        person.types(typed);
        if !typed.is_empty() {
            person.sees("Property: ");
        }
    }
    let said = person.sees("created successfully");
    assert!(
        said.contains("--type json-file-access") && said.contains("--publisher-name 'My JSON'"),
        "{said}"
    );

    // Below one of those there are.
    person.chooses("Access Log Filtering Criteria");
    person.chooses("create-access-log-filtering-criteria");
    person.sees("Of which Log Publisher?");
    person.chooses("My JSON");
    person.sees("Name of the new Access Log Filtering Criteria: ");
    person.types("Writes");
    person.sees("Property: ");
    person.types("");
    person.sees("created successfully");

    // A mistake ends nothing.
    for outcome in ["created successfully", "exists already; set-log-rotation-policy-prop changes it"] {
        person.chooses("Log Rotation Policy");
        person.chooses("create-log-rotation-policy");
        person.sees("Name of the new Log Rotation Policy: ");
        person.types("Hourly");
        person.chooses("time-limit");
        person.sees("Property: ");
        person.types("rotation-interval:1h");
        person.sees("Property: ");
        person.types("");
        person.sees(outcome);
    }
    person.chooses("Backend Index");
    person.chooses("list-backend-indexes");
    person.chooses("userRoot");
    person.sees("entryUUID");
    person.sees("Enter choice [q]: ");
    person.types("");
    person.ends();
    let json = "cn=My JSON,cn=Loggers,cn=config";
    assert!(server.values(json, "objectClass").contains(&"ds-cfg-json-file-access-log-publisher".to_owned()));
    assert_eq!(server.values(json, "ds-cfg-log-file"), ["logs/my.json"]);
    assert_eq!(server.values(&format!("cn=Writes,cn=Filtering Criteria,{json}"), "cn"), ["Writes"]);
    assert!(!server.look(SUFFIX, "base", "(objectClass=*)", &["dc"]).ok().is_empty());
}
