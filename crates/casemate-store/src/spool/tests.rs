use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::Arc;

use super::*;

const ROOM: Room = Room { owner_max: 1 << 20, total_max: 4 << 20 };
const FOREVER: u64 = u64::MAX;

struct Bed {
    folder: tempfile::TempDir,
    spool: Spool,
}

impl Bed {
    fn new() -> Bed {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(&folder.path().join("spool")).unwrap();
        Bed { folder, spool }
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> =
            fs::read_dir(self.path()).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("spool")
    }
}

fn id(number: u8) -> Id {
    [number; 16]
}

fn parcel(number: u8, owner: &str, texts: &[&str]) -> Parcel {
    let parts = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    Parcel { id: id(number), owner: owner.into(), label: "files/read".into(), parts, until: FOREVER }
}

fn text(spool: &Spool, number: u8, owner: &str, part: usize) -> Result<String, String> {
    let part = spool.part((&id(number), owner), part);
    part.map(|part| String::from_utf8(part.text).unwrap()).map_err(|fault| fault.to_string())
}

#[test]
fn what_is_kept_is_read_by_its_owner_part_by_part_and_is_nowhere_on_disk() {
    let bed = Bed::new();
    bed.spool.keep(parcel(1, "key:a", &["first words", "last words"]), ROOM).unwrap();
    assert_eq!(text(&bed.spool, 1, "key:a", 1).unwrap(), "last words");
    let part = bed.spool.part((&id(1), "key:a"), 0).unwrap();
    assert_eq!(
        (part.text.as_slice(), &*part.label, part.count),
        (b"first words".as_slice(), "files/read", 2)
    );
    let [file] = bed.files().try_into().unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(fs::metadata(bed.path()).unwrap().permissions().mode() & 0o7777, 0o700);
    let written = fs::read(file).unwrap();
    for word in ["words", "files", "key:a"] {
        assert!(!written.windows(word.len()).any(|bytes| bytes == word.as_bytes()), "{word}");
    }
    assert!(matches!(bed.spool.part((&id(1), "key:a"), 2), Err(SpoolFault::NoPart { count: 2 })));
}

#[test]
fn nobody_else_gets_it_and_it_stays_for_its_owner() {
    let bed = Bed::new();
    bed.spool.keep(parcel(1, "key:a", &["own"]), ROOM).unwrap();
    for (number, owner) in [(1, "key:b"), (1, "key:"), (1, ""), (2, "key:a")] {
        let found = bed.spool.part((&id(number), owner), 0);
        assert!(matches!(found, Err(SpoolFault::Absent)), "{owner}");
    }
    assert_eq!(text(&bed.spool, 1, "key:a", 0).unwrap(), "own");
}

#[test]
fn what_was_changed_on_disk_does_not_open_and_is_removed() {
    type Harm = fn(&PathBuf);
    let harms: [(&str, Harm); 7] = [
        ("a bit", |file| {
            let mut bytes = fs::read(file).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(file, bytes).unwrap();
        }),
        ("its end", |file| {
            let bytes = fs::read(file).unwrap();
            fs::write(file, &bytes[..bytes.len() - 1]).unwrap();
        }),
        ("its parts", |file| {
            // Both are of one length, so that nothing but the seal tells.
            let mut bytes = fs::read(file).unwrap();
            let half = bytes.len() / 2;
            bytes.rotate_left(half);
            fs::write(file, bytes).unwrap();
        }),
        ("emptied", |file| fs::write(file, "").unwrap()),
        ("removed", |file| fs::remove_file(file).unwrap()),
        ("a link", |file| {
            let aside = file.with_extension("aside");
            fs::rename(file, &aside).unwrap();
            symlink(aside, file).unwrap();
        }),
        ("open to others", |file| fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap()),
    ];
    for (what, harm) in harms {
        let bed = Bed::new();
        bed.spool.keep(parcel(1, "key:a", &["same", "size"]), ROOM).unwrap();
        assert_eq!(text(&bed.spool, 1, "key:a", 0).unwrap(), "same", "unharmed");
        harm(&bed.files()[0]);
        let last = bed.spool.part((&id(1), "key:a"), 1);
        assert!(matches!(last, Err(SpoolFault::Damaged)), "{what}: {last:?}");
        assert!(matches!(bed.spool.part((&id(1), "key:a"), 0), Err(SpoolFault::Absent)), "{what}");
        assert_eq!(bed.spool.bytes(), 0, "{what}");
    }
}

#[test]
fn the_file_of_another_thing_in_its_place_does_not_open() {
    let bed = Bed::new();
    bed.spool.keep(parcel(1, "key:a", &["mine"]), ROOM).unwrap();
    bed.spool.keep(parcel(2, "key:b", &["hers"]), ROOM).unwrap();
    let [first, second] = bed.files().try_into().unwrap();
    fs::copy(second, first).unwrap();
    assert!(matches!(bed.spool.part((&id(1), "key:a"), 0), Err(SpoolFault::Damaged)));
    assert_eq!(text(&bed.spool, 2, "key:b", 0).unwrap(), "hers");
}

#[test]
fn the_oldest_of_an_owner_makes_room_and_others_lose_nothing() {
    let bed = Bed::new();
    let text_of = |size: usize| "x".repeat(size);
    let room = Room { owner_max: 1000, total_max: 1500 };
    bed.spool.keep(parcel(1, "key:other", &[&text_of(400)]), room).unwrap();
    for number in 2..=20 {
        bed.spool.keep(parcel(number, "key:flood", &[&text_of(400)]), room).unwrap();
    }
    assert!(text(&bed.spool, 18, "key:flood", 0).is_err());
    assert!(text(&bed.spool, 19, "key:flood", 0).is_ok() && text(&bed.spool, 20, "key:flood", 0).is_ok());
    assert!(text(&bed.spool, 1, "key:other", 0).is_ok());
    assert_eq!((bed.spool.bytes(), bed.files().len()), (3 * 416, 3));
    // What does not fit at all costs its owner nothing.
    for size in [985, 3000] {
        let fault = bed.spool.keep(parcel(30, "key:flood", &[&text_of(size)]), room);
        assert!(matches!(fault, Err(SpoolFault::NoRoom)), "{size}");
    }
    let fault = bed.spool.keep(parcel(31, "key:other-2", &[&text_of(400)]), room);
    assert!(matches!(fault, Err(SpoolFault::NoRoom)), "others have the room, and it is theirs");
    assert_eq!(bed.files().len(), 3);
}

#[test]
fn many_small_things_fill_no_memory() {
    let bed = Bed::new();
    for number in 0..300_u16 {
        let mut own = parcel(0, "key:a", &["x"]);
        own.id[..2].copy_from_slice(&number.to_be_bytes());
        bed.spool.keep(own, ROOM).unwrap();
    }
    assert_eq!((bed.files().len(), bed.spool.bytes()), (256, 256 * 17));
    let fault =
        bed.spool.keep(Parcel { parts: vec![Vec::new(); PARTS_MAX + 1], ..parcel(1, "key:b", &[]) }, ROOM);
    assert!(matches!(fault, Err(SpoolFault::NoRoom)));
    let fault = bed.spool.keep(parcel(1, "key:b", &[]), ROOM);
    assert!(matches!(fault, Err(SpoolFault::NoRoom)), "nothing is no thing to keep");
}

#[test]
fn a_name_is_used_once() {
    let bed = Bed::new();
    bed.spool.keep(parcel(1, "key:a", &["mine"]), ROOM).unwrap();
    let fault = bed.spool.keep(parcel(1, "key:b", &["hers"]), ROOM);
    assert!(matches!(fault, Err(SpoolFault::NoRoom)));
    assert_eq!(text(&bed.spool, 1, "key:a", 0).unwrap(), "mine");
}

#[test]
fn what_is_over_is_gone_from_memory_and_disk() {
    let bed = Bed::new();
    bed.spool.keep(Parcel { until: now() + 3600, ..parcel(1, "key:a", &["for an hour"]) }, ROOM).unwrap();
    bed.spool.keep(Parcel { until: now(), ..parcel(2, "key:a", &["for no time"]) }, ROOM).unwrap();
    bed.spool.keep(parcel(3, "key:revoked", &["of somebody who is gone"]), ROOM).unwrap();
    assert!(text(&bed.spool, 2, "key:a", 0).is_err(), "also before it was swept");
    let removed = bed.spool.take_out(|owner| owner != "key:revoked");
    assert!(text(&bed.spool, 3, "key:revoked", 0).is_err(), "before its file is deleted");
    bed.spool.delete(&removed);
    assert_eq!(bed.files().len(), 1);
    assert_eq!(text(&bed.spool, 1, "key:a", 0).unwrap(), "for an hour");
    assert!(text(&bed.spool, 3, "key:revoked", 0).is_err());
    let path = bed.path();
    drop(bed.spool);
    assert_eq!(fs::read_dir(path).unwrap().count(), 0, "and with the process all of it");
}

#[test]
fn a_crash_in_the_middle_of_writing_leaves_nothing_that_the_next_process_keeps() {
    let bed = Bed::new();
    bed.spool.keep(parcel(1, "key:a", &["kept until the crash"]), ROOM).unwrap();
    // A killed process drops nothing.
    std::mem::forget(bed.spool);
    let path = bed.folder.path().join("spool");
    fs::write(path.join("0f".repeat(16)), "half of a sealed part").unwrap();
    fs::write(path.join("README"), "somebody's own file").unwrap();
    let next = Spool::open(&path).unwrap();
    let left: Vec<_> = fs::read_dir(&path).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left, ["README"], "of what is not ours nothing is touched");
    assert!(matches!(next.part((&id(1), "key:a"), 0), Err(SpoolFault::Absent)));
}

#[test]
fn a_link_that_waits_under_a_name_of_ours_is_removed_and_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    drop(Spool::open(&path).unwrap());
    let target = folder.path().join("precious");
    fs::write(&target, "precious").unwrap();
    symlink(&target, path.join("01".repeat(16))).unwrap();
    let spool = Spool::open(&path).unwrap();
    symlink(&target, path.join("01".repeat(16))).unwrap();
    let fault = spool.keep(parcel(1, "key:a", &["over it"]), ROOM);
    assert!(matches!(fault, Err(SpoolFault::File(_))), "{fault:?}");
    assert_eq!(fs::read_to_string(target).unwrap(), "precious");
}

#[test]
fn where_nothing_can_be_written_nothing_is_kept_and_the_room_is_free_again() {
    let bed = Bed::new();
    fs::remove_dir(bed.path()).unwrap();
    let fault = bed.spool.keep(parcel(1, "key:a", &["x"]), ROOM);
    assert!(matches!(fault, Err(SpoolFault::File(FolderFault::Io { doing: "create", .. }))), "{fault:?}");
    assert_eq!(bed.spool.bytes(), 0);
    fs::create_dir(bed.path()).unwrap();
    bed.spool.keep(parcel(1, "key:a", &["x"]), ROOM).unwrap();
}

#[test]
fn a_folder_that_others_can_enter_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let fault = Spool::open(folder.path()).unwrap_err().to_string();
    assert!(fault.contains("hint: chmod 0700"), "{fault}");
}

#[test]
fn many_at_once_keep_to_the_room() {
    let bed = Bed::new();
    let spool = Arc::new(bed.spool);
    let room = Room { owner_max: 10_000, total_max: 20_000 };
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let spool = Arc::clone(&spool);
            scope.spawn(move || {
                for number in 0..50_u8 {
                    let mut own = parcel(thread, &format!("key:{}", thread % 2), &[&"x".repeat(984)]);
                    own.id[1] = number;
                    // Another thread of the same owner may have made room of it at once.
                    _ = spool.keep(own, room);
                    assert!(spool.bytes() <= 20_000);
                }
            });
        }
    });
    let files = fs::read_dir(bed.folder.path().join("spool")).unwrap().count() as u64;
    assert_eq!(spool.bytes(), files * 1000);
    assert!(files <= 20);
}
