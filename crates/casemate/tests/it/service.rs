//! `service`: a unit for systemd.

use std::process::Command;

use expect_test::expect;

use crate::home::{CASEMATE, Home, skipped};
use crate::people::Person;

const UNIT: &str = ".config/systemd/user/casemate.service";

/// The unit of an installation in the user's folders, with what differs from machine to machine replaced.
fn dry(arguments: &[&str]) -> String {
    let home = Home::new();
    let mut command = home.command(&[&["service", "install", "--dry-run"], arguments].concat());
    home.ended(&command.env_remove("CASEMATE_HOME").output().unwrap()).ok()
}

#[test]
fn what_the_unit_says() {
    let unit = dry(&[]);
    let without_comments: String = unit
        .lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with("DelegateSubgroup="))
        .map(|line| format!("{line}\n"))
        .collect();
    expect![[r#"

        [Unit]
        Description=Casemate, the gate in front of MCP servers

        [Service]
        Type=exec
        ExecStart=[CASEMATE] up
        ExecReload=/bin/kill -HUP $MAINPID
        Environment=PATH=/usr/local/bin:/usr/bin:/bin
        Restart=on-failure
        RestartSec=1
        KillMode=mixed
        TimeoutStopSec=120
        LimitNOFILE=65536

        Delegate=yes
        OOMPolicy=continue

        NoNewPrivileges=yes
        LockPersonality=yes
        RestrictRealtime=yes
        RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
        SystemCallArchitectures=native
        SystemCallFilter=~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap
        SystemCallErrorNumber=EPERM
        UMask=0077

        [Install]
        WantedBy=default.target
    "#]]
    .assert_eq(&without_comments);
    assert!(unit.starts_with("# Written by `casemate service install`"));
}

#[test]
fn the_machines_unit_gives_up_what_root_needs_not() {
    let own = dry(&[]);
    let system = dry(&["--system"]);
    let added: Vec<&str> =
        system.lines().filter(|line| !own.contains(line) && !line.starts_with('#')).collect();
    expect![[r#"
        After=network.target
        ExecStart=[CASEMATE] up --home /var/lib/casemate
        StateDirectory=casemate
        StateDirectoryMode=0700
        CapabilityBoundingSet=~CAP_AUDIT_CONTROL CAP_AUDIT_WRITE CAP_BLOCK_SUSPEND CAP_BPF CAP_LINUX_IMMUTABLE CAP_MAC_ADMIN \
            CAP_MAC_OVERRIDE CAP_NET_RAW CAP_PERFMON CAP_SYSLOG CAP_SYS_BOOT CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_TIME \
            CAP_WAKE_ALARM
        ProtectSystem=full
        KeyringMode=private
        WantedBy=multi-user.target"#]].assert_eq(&added.join("\n"));
    // Somebody who named a folder gets that one.
    let elsewhere = dry(&["--system", "--home", "/srv/case mate"]);
    assert!(elsewhere.contains("up --home \"/srv/case mate\"\n"), "{elsewhere}");
    assert!(!elsewhere.contains("StateDirectory"), "{elsewhere}");
}

#[test]
fn systemd_understands_the_units() {
    for (arguments, manager) in [(&[][..], "--user"), (&["--system"], "--system")] {
        let home = Home::new();
        let file = home.write("casemate.service", &dry(arguments).replace("[CASEMATE]", CASEMATE));
        let verify = Command::new("systemd-analyze")
            .args([manager, "verify"])
            .arg(file)
            .env("XDG_RUNTIME_DIR", home.path())
            .output();
        match verify {
            // Whatever it does not know is a warning, which would be on stderr.
            Ok(output) => assert_eq!(home.ended(&output).shown(), "exit 0\n"),
            Err(error) => skipped(&format!("systemd-analyze cannot be run here: {error}")),
        }
    }
}

#[test]
fn a_unit_is_written_once_and_removed_again() {
    for person in Person::all() {
        let home = person.home();
        let run = |arguments: &[&str]| home.ended(&person.command(&home, arguments).output().unwrap());
        assert!(run(&["service", "status"]).ok().contains("not installed"));
        let written = run(&["service", "install"]).ok();
        assert!(
            written.contains("The unit is written: [HOME]/.config/systemd/user/casemate.service"),
            "{written}"
        );
        assert!(
            written
                .contains("systemctl --user daemon-reload && systemctl --user enable --now casemate.service")
        );
        let unit = home.read(UNIT);
        assert!(
            unit.contains(&format!("ExecStart={CASEMATE} up --home {}\n", home.root().display())),
            "{unit}"
        );
        assert!(run(&["service", "install"]).ok().contains("The unit says so already"));
        assert!(run(&["service", "status"]).ok().contains("installed"));

        home.write(UNIT, &unit.replace("RestartSec=1", "RestartSec=9"));
        assert!(run(&["service", "status"]).ok().contains("written by another version"));
        assert!(run(&["service", "install"]).ok().contains("The unit is written"));
        assert_eq!(home.read(UNIT), unit);

        let wants = home.path().join(".config/systemd/user/default.target.wants");
        std::fs::create_dir(&wants).unwrap();
        std::os::unix::fs::symlink(home.path().join(UNIT), wants.join("casemate.service")).unwrap();
        person.give(&wants);
        let removed = run(&["service", "uninstall"]).ok();
        assert!(removed.contains("The unit is removed"), "{removed}");
        assert!(!home.path().join(UNIT).exists() && !wants.join("casemate.service").is_symlink());
        assert!(run(&["service", "uninstall"]).ok().contains("There is no unit"));
    }
}

#[test]
fn somebody_elses_unit_is_left_alone() {
    let home = Home::new();
    home.write(UNIT, "[Service]\nExecStart=/usr/bin/other\n");
    for command in ["install", "uninstall"] {
        let refused = home.run(&["service", command]);
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains("casemate.service is not ours"), "{}", refused.shown());
    }
    assert_eq!(home.read(UNIT), "[Service]\nExecStart=/usr/bin/other\n");
    assert!(home.run(&["service", "status"]).ok().contains("not ours"));

    // A masked unit.
    let file = home.path().join(UNIT);
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/dev/null", &file).unwrap();
    assert_eq!(home.run(&["service", "install"]).code, Some(1));
    assert!(file.is_symlink());
}
