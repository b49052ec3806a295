//! Images: what they may decide, and by what they are named.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use casemate_sandbox::container::{ContainerError, ImageFault, ImageReference, Unpinned};
use casemate_sandbox::{CellSpec, Exit};
use tempfile::TempDir;

use crate::stage::{Body, Stage};

pub(crate) const ALL: &[(&str, Body)] = &[
    ("the_user_of_an_image_is_kept_unless_it_is_root", the_user_of_an_image_is_kept_unless_it_is_root),
    ("what_an_image_would_keep_goes_away", what_an_image_would_keep_goes_away),
    ("an_image_is_fetched_by_its_digest", an_image_is_fetched_by_its_digest),
    ("an_image_that_is_nowhere_is_refused", an_image_that_is_nowhere_is_refused),
];

fn unpinned(name: &str) -> Unpinned {
    match name.parse::<ImageReference>() {
        Err(ImageFault::Unpinned(name)) => name,
        other => panic!("{other:?}"),
    }
}

fn the_user_of_an_image_is_kept_unless_it_is_root(stage: &Stage) {
    let nobody = CellSpec::NOBODY;
    for (user, expected) in [
        ("1000", (1000, 1000)),
        ("1000:2000", (1000, 2000)),
        ("1000:0", (1000, 1000)),
        ("0", (nobody, nobody)),
        ("0:0", (nobody, nobody)),
        ("root", (nobody, nobody)),
        ("node", (nobody, nobody)),
    ] {
        let image = stage.derive(&[&format!("USER {user}")]);
        let mut spec = stage.spec("files", &["/proc/self/status"]);
        spec.image = image.parse().unwrap();
        let (exit, said, errors) = stage.finish(&spec);
        assert_eq!(exit, Exit::Code(0), "{errors}");
        let (id, group) = expected;
        assert!(said.contains(&format!("Uid:\t{id}\t{id}\t{id}\t{id}")), "{user}: {said}");
        assert!(said.contains(&format!("Gid:\t{group}\t{group}\t{group}\t{group}")), "{user}: {said}");
        spec.user = Some(7);
        assert!(stage.finish(&spec).1.contains("Uid:\t7\t7\t7\t7"), "{user}");
    }
}

/// Without a limit, an engine would keep it on its disk.
fn what_an_image_would_keep_goes_away(stage: &Stage) {
    let changes =
        ["VOLUME /data /tmp", "HEALTHCHECK CMD [\"/bin/false\"]", "LABEL casemate.installation=other"];
    let image = stage.derive(&changes);
    let write = |bytes: &str| {
        let mut spec = stage.spec("write", &["/data/file", bytes]);
        spec.image = image.parse().unwrap();
        spec.limits.tmp_bytes = 1 << 20;
        stage.finish(&spec)
    };
    assert_eq!(write("1000").0, Exit::Code(0));
    let (exit, _, said) = write("2000000");
    assert!(exit == Exit::Code(101) && said.contains("StorageFull"), "{exit} {said}");
    assert_eq!(stage.docker.client(&["volume", "ls", "--quiet"]).unwrap(), "");
}

/// A registry of our own, on a port that nobody else uses.
struct Registry {
    process: Child,
    port: String,
    _folder: TempDir,
}

impl Registry {
    fn start() -> Registry {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let settings = format!(
            "version: 0.1\nlog: {{level: info, formatter: json}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: \"127.0.0.1:0\"}}\n",
            data.display()
        );
        std::fs::write(folder.path().join("settings.yml"), settings).unwrap();
        let mut process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "docker-registry", "serve"])
            .arg(folder.path().join("settings.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let line = log.find(|line| line.contains("listening on")).expect("the registry does not start");
        let port = line
            .split("127.0.0.1:")
            .nth(1)
            .unwrap()
            .split(|letter: char| !letter.is_ascii_digit())
            .next()
            .unwrap();
        let port = port.to_owned();
        std::thread::spawn(move || log.for_each(drop));
        Registry { process, port, _folder: folder }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn an_image_is_fetched_by_its_digest(stage: &Stage) {
    let registry = Registry::start();
    let name = format!("127.0.0.1:{}/tools/time", registry.port);
    let tagged = format!("{name}:1.2");
    stage.docker.client(&["tag", &stage.docker.image, &tagged]).unwrap();
    let pin = |name: &str| stage.run(stage.engine.pin(&unpinned(name)));
    // Until it is pushed, only its id tells it.
    assert_eq!(pin(&tagged).unwrap().to_string(), stage.docker.image);
    stage.docker.client(&["push", &tagged]).unwrap();
    let here = pin(&tagged).unwrap();
    stage.docker.client(&["image", "rm", &tagged]).unwrap();
    let remove = || stage.docker.client(&["image", "rm", &format!("{name}@{}", here.digest())]);
    let _ = remove();
    let there = pin(&tagged).unwrap();
    assert_eq!(here, there);
    assert_eq!(there.to_string(), format!("{tagged}@{}", there.digest()));
    let mut spec = stage.spec("say", &[]);
    spec.image = there;
    assert_eq!(stage.finish(&spec).0, Exit::Code(3));
    remove().unwrap();
    // What the registry does not have under this digest is not replaced by what it has.
    let digest = here.digest().to_owned();
    let (first, rest) = digest.split_at(digest.len() - 1);
    let other = format!("{name}@{first}{}", if rest == "0" { '1' } else { '0' });
    spec.image = other.parse().unwrap();
    let Err(ContainerError::Image { said, .. }) = stage.start(&spec) else { panic!("it was started") };
    assert!(said.contains("not found") || said.contains("unknown"), "{said}");
    assert!(pin(&format!("{name}:9")).is_err());
}

fn an_image_that_is_nowhere_is_refused(stage: &Stage) {
    let mut spec = stage.spec("say", &[]);
    spec.image = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
    let Err(error) = stage.start(&spec) else { panic!("it was started") };
    assert!(error.to_string().contains("there is no such image here"), "{error}");
    for name in ["casemate/test", "casemate/test:latest"] {
        let fault = name.parse::<ImageReference>().unwrap_err();
        assert!(fault.hint().contains("@sha256:"), "{}", fault.hint());
        assert_eq!(stage.run(stage.engine.pin(&unpinned(name))).unwrap().to_string().len(), 7 + 64);
    }
}
