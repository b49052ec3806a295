//! What the host mounts while a cell runs, in what the cell was granted. Only root can play the host.

use std::process::{Command, ExitCode};

use casemate_sandbox::learn::LearnSpec;
use casemate_sandbox::{Cell, Kind, Layer};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::LATER;
use crate::world::World;

/// A mount appeared in cells without the restrictions of the grant that it was made in.
pub(crate) fn nothing_comes_in() {
    let own = std::env::current_exe().unwrap();
    // Most hosts share their mounts with all that are made of them.
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "shared", "--"])
        .args([own.as_os_str(), LATER.as_ref()])
        .output();
    match output {
        Ok(output) if output.status.code() == Some(1) && output.stdout.is_empty() => {
            eprintln!("not tried, because nothing can be mounted here: {output:?}");
        }
        Ok(output) => assert_eq!(String::from_utf8_lossy(&output.stdout), "held\nheld\n", "{output:?}"),
        Err(error) => eprintln!("not tried, for lack of unshare: {error}"),
    }
}

/// The part of [`nothing_comes_in`].
pub(crate) fn play() -> ExitCode {
    let world = World::new(Kind::Full);
    let place = world.facts.folder.join("read/place");
    std::fs::create_dir(&place).unwrap();
    let script =
        format!("echo ready; read go; echo x > {0}/new && echo came in || echo held", place.display());
    let mut spec = world.spec("/bin/sh", &["-c", &script]);
    // It would keep the server from writing, whatever is mounted.
    spec.cell.as_mut().unwrap().without = vec![Layer::Landlock];
    let watched = spec.clone();
    let plain = world.start(spec).unwrap();
    let (watched, _lessons) = world.learn(watched, LearnSpec::default()).unwrap();
    let mut cells = [plain, watched];
    cells.iter_mut().for_each(|cell| {
        world.run(cell.io.stdout.read_exact(&mut [0; 6])).unwrap();
    });
    mount("none", &place, "tmpfs", MountFlags::empty(), Some(c"mode=777")).unwrap();
    for cell in cells {
        print!("{}", said(&world, cell));
    }
    unmount(&place, UnmountFlags::DETACH).unwrap();
    ExitCode::SUCCESS
}

fn said(world: &World, mut cell: Cell) -> String {
    world.run(cell.io.stdin.write_all(b"go\n")).unwrap();
    let (_, said) = world.end(cell);
    said.lines().filter(|line| ["held", "came in"].contains(line)).map(|line| format!("{line}\n")).collect()
}
