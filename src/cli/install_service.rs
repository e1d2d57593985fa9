//! `ctsd install-service`: the systemd unit, for this program and this instance.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::Failure;

/// The unit as packaged.
const UNIT: &str = include_str!("../../deploy/systemd/ctsd.service");
/// The program and instance it names.
const PACKAGED: &str = "/usr/bin/ctsd start --instance /var/lib/ctsd";
const STATE: &str = "StateDirectory=ctsd\nStateDirectoryMode=0700\n";

const EXAMPLES: &str = "Examples:
  sudo ctsd install-service --instance /var/lib/ctsd --user ctsd
  ctsd install-service --instance /srv/cts --output - | less";

#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct InstallService {
    /// The instance directory that the service serves.
    #[arg(long, env = "CTSD_INSTANCE", default_value = "/var/lib/ctsd", value_name = "DIR")]
    instance: PathBuf,
    /// The user, and group, that the service runs as; it has to own the instance.
    #[arg(long, default_value = "ctsd", value_name = "NAME")]
    user: String,
    /// The program; this one unless told otherwise.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Where the unit goes; `-` is standard output.
    #[arg(long, default_value = "/etc/systemd/system/ctsd.service", value_name = "FILE")]
    output: PathBuf,
    /// Replace a unit that is there.
    #[arg(long)]
    force: bool,
}

/// `ctsd install-service`.
pub(super) fn run(options: &InstallService) -> Result<ExitCode, Failure> {
    let program = match &options.program {
        Some(program) => program.clone(),
        None => std::env::current_exe()?,
    };
    let text =
        unit(&std::path::absolute(&program)?, &std::path::absolute(&options.instance)?, &options.user)?;
    if options.output.as_os_str() == "-" {
        print!("{text}");
        return Ok(ExitCode::SUCCESS);
    }
    let shown = options.output.display();
    if options.output.exists() && !options.force {
        return Err(Failure::new(format!("{shown} is there already; --force replaces it")));
    }
    std::fs::write(&options.output, text).map_err(|error| Failure::new(format!("{shown}: {error}")))?;
    if !is_user(&options.user) {
        println!("There is no user {user} yet: useradd --system {user}", user = options.user);
    }
    if !options.instance.join("config/config.ldif").exists() {
        let instance = options.instance.display();
        println!("There is no instance {instance} yet: ctsd setup --instance {instance} --doNotStart");
    }
    println!(
        "Wrote {shown}. Now:\n  chown -R {user}: {instance}\n  systemctl daemon-reload\n  systemctl enable --now {name}",
        user = options.user,
        instance = options.instance.display(),
        name = options.output.file_name().unwrap_or_default().to_string_lossy(),
    );
    Ok(ExitCode::SUCCESS)
}

/// Whether the system's file of users has one of this name; there may be others, which only the system can tell.
fn is_user(name: &str) -> bool {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    users.lines().any(|line| line.split(':').next() == Some(name))
}

/// The packaged unit with other names in it.
fn unit(program: &Path, instance: &Path, user: &str) -> Result<String, Failure> {
    let plain = |path: &Path| {
        let text = path.to_str().filter(|text| {
            text.chars()
                .all(|letter| !letter.is_whitespace() && !letter.is_control() && !"\"'\\%$".contains(letter))
        });
        text.map(str::to_owned).ok_or_else(|| {
            let shown = path.display();
            Failure::usage(format!(
                "{shown}: a path in a unit must hold no blanks, quotes, %, $ or backslashes"
            ))
        })
    };
    let (program, folder) = (plain(program)?, plain(instance)?);
    let mut text = UNIT
        .replace(PACKAGED, &format!("{program} start --instance {folder}"))
        .replace("User=ctsd\nGroup=ctsd\n", &format!("User={user}\nGroup={user}\n"));
    if instance != Path::new("/var/lib/ctsd") {
        text = text.replace(STATE, &format!("ReadWritePaths={folder}\n"));
    }
    if instance.starts_with("/home") || instance.starts_with("/root") {
        text = text.replace("ProtectHome=yes\n", "");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packaged_unit_holds_what_is_replaced() {
        for part in [PACKAGED, STATE, "User=ctsd\nGroup=ctsd\n", "ProtectHome=yes\n"] {
            assert_eq!(UNIT.matches(part).count(), 1, "{part}");
        }
    }

    #[test]
    fn the_unit_leaves_room_for_the_administration_socket() {
        let families = UNIT.lines().find_map(|line| line.strip_prefix("RestrictAddressFamilies=")).unwrap();
        assert!(families.split(' ').any(|family| family == "AF_UNIX"), "{families}");
        // Among users of its own the server would not know root.
        assert!(!UNIT.contains("PrivateUsers"));
    }

    #[test]
    fn another_instance_gets_its_path_and_user() {
        let text = unit(Path::new("/opt/ctsd/bin/ctsd"), Path::new("/srv/cts"), "tokens").unwrap();
        for line in [
            "ExecStart=/opt/ctsd/bin/ctsd start --instance /srv/cts",
            "ReadWritePaths=/srv/cts",
            "User=tokens",
            "Group=tokens",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("StateDirectory"));
        let packaged = unit(Path::new("/usr/bin/ctsd"), Path::new("/var/lib/ctsd"), "ctsd").unwrap();
        assert_eq!(packaged, UNIT);
        assert!(unit(Path::new("/usr/bin/ctsd"), Path::new("/srv/two words"), "ctsd").is_err());
    }
}
