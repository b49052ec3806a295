//! The whole server: on folders that look like `/proc`, and on the machine that runs the tests.

use std::path::Path;

use casemate_mcp::json::Members;
use serde_json::Value;
use tempfile::TempDir;

use super::*;

const STAT: &str = "cpu  10 0 10 80 0 0 0 0 0 0\ncpu0 10 0 10 80 0 0 0 0 0 0\nintr 1\n";
const MEMINFO: &str = "MemTotal: 100 kB\nMemFree: 5 kB\nMemAvailable: 8 kB\nBuffers: 1 kB\nCached: 2 kB\n\
    SwapTotal: 0 kB\nSwapFree: 0 kB\n";
const NET_DEV: &str = "Inter-| Receive | Transmit\n face |bytes\n  lo: 7 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n";

fn proc() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("self/net")).unwrap();
    let mounts = "1 0 254:0 / / rw - ext4 /dev/vda rw\n2 1 0:4 / /no/such/mount rw - ext4 /dev/vdb rw\n";
    for (name, text) in [
        ("stat", STAT),
        ("loadavg", "0.10 0.20 0.30 1/2 3\n"),
        ("meminfo", MEMINFO),
        ("self/net/dev", NET_DEV),
        ("self/mountinfo", mounts),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

async fn call(system: &System, name: &str, arguments: Value) -> Result<Value, String> {
    let tool = system.tools().iter().find(|tool| tool.name == name).unwrap();
    let arguments = tool.check(&Raw::of(&arguments).members().unwrap_or_else(Members::empty))?;
    let raw = system.call(tool, arguments).await.map_err(|fault| fault.to_string())?;
    let value: Value = raw.parse().unwrap();
    let schema = jsonschema::draft202012::new(&(tool.output)()).unwrap();
    let faults: Vec<String> = schema.iter_errors(&value).map(|error| error.to_string()).collect();
    assert!(faults.is_empty(), "{name} breaks its own schema: {faults:?} in {value}");
    Ok(value)
}

async fn of(folder: &Path, name: &str, arguments: Value) -> Result<Value, String> {
    call(&System::of(folder.to_owned()), name, arguments).await
}

#[tokio::test]
async fn every_tool_answers_on_this_machine_as_its_schema_says() {
    let system = System::of_this_machine();
    for tool in system.tools() {
        let answer = call(&system, tool.name, serde_json::json!({})).await.unwrap();
        assert!(answer.is_object(), "{}", tool.name);
        assert!(jsonschema::draft202012::meta::is_valid(
            &tool.definition(casemate_mcp::revision::Revision::LATEST)["inputSchema"]
        ));
    }
    let root = call(&system, "get_disk_stats", serde_json::json!({ "path": "/" })).await.unwrap();
    assert_eq!(root["file_systems"][0]["mount_point"], "/");
    assert!(root["file_systems"][0]["total_bytes"].as_u64().unwrap() > 0);
}

#[tokio::test(start_paused = true)]
async fn the_processor_is_watched_for_as_long_as_was_asked() {
    let folder = proc();
    let answer = of(folder.path(), "get_cpu_stats", serde_json::json!({ "interval_ms": 500 })).await.unwrap();
    assert_eq!(answer["watched_ms"], 500);
    assert_eq!((&answer["logical_cpus"], &answer["used_percent"]), (&1.into(), &0.0.into()));
    assert_eq!(answer["load_average"]["15m"], 0.3);
}

#[tokio::test(start_paused = true)]
async fn what_changes_while_we_watch_is_seen() {
    let folder = proc();
    let system = System::of(folder.path().to_owned());
    let change = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let busy = STAT.replace("10 0 10 80", "40 0 20 140");
        std::fs::write(folder.path().join("stat"), busy).unwrap();
        std::fs::write(folder.path().join("self/net/dev"), NET_DEV.replace("lo: 7", "lo: 107")).unwrap();
    };
    let none = serde_json::json!({});
    let (cpu, network, ()) = tokio::join!(
        call(&system, "get_cpu_stats", none.clone()),
        call(&system, "get_network_stats", none),
        change
    );
    let cpu = cpu.unwrap();
    assert_eq!((&cpu["used_percent"], &cpu["per_cpu"][0]["used_percent"]), (&40.0.into(), &40.0.into()));
    assert_eq!(cpu["shares_percent"]["user"], 30.0);
    let network = network.unwrap();
    assert_eq!(network["interfaces"][0]["received"]["bytes_per_second"], 500.0);
    assert_eq!(network["interfaces"][0]["sent"]["bytes_per_second"], 0.0);
}

#[tokio::test]
async fn limits_that_are_exceeded_make_it_unhealthy_and_are_named() {
    let folder = proc();
    let relaxed = serde_json::json!({ "memory_percent_max": 95, "disk_percent_max": 100, "interval_ms": 50 });
    let healthy = of(folder.path(), "health_check", relaxed).await.unwrap();
    assert_eq!(healthy["status"], "healthy", "{healthy}");
    let strict =
        serde_json::json!({ "memory_percent_max": 91.9, "disk_percent_max": 100, "interval_ms": 50 });
    let unhealthy = of(folder.path(), "health_check", strict).await.unwrap();
    assert_eq!(unhealthy["status"], "unhealthy");
    let failed: Vec<&Value> =
        unhealthy["checks"].as_array().unwrap().iter().filter(|check| check["ok"] == false).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!((&failed[0]["check"], &failed[0]["value"]), (&"memory_percent".into(), &92.0.into()));
}

#[tokio::test]
async fn what_cannot_be_read_is_named_and_is_not_healthy() {
    let folder = proc();
    std::fs::remove_file(folder.path().join("meminfo")).unwrap();
    std::fs::write(folder.path().join("loadavg"), "nonsense").unwrap();
    let memory = of(folder.path(), "get_memory_stats", serde_json::json!({})).await.unwrap_err();
    assert!(memory.ends_with("/meminfo cannot be read: No such file or directory (os error 2)"), "{memory}");
    let cpu = of(folder.path(), "get_cpu_stats", serde_json::json!({ "interval_ms": 50 })).await.unwrap_err();
    assert!(cpu.ends_with("/loadavg is not written as expected"), "{cpu}");
    let health = of(folder.path(), "health_check", serde_json::json!({ "interval_ms": 50 })).await.unwrap();
    assert_eq!(health["status"], "unhealthy");
    assert!(health["checks"][2]["problem"].as_str().unwrap().contains("meminfo"));
}

#[tokio::test(start_paused = true)]
async fn an_interface_or_a_path_that_does_not_exist_is_named() {
    let folder = proc();
    let arguments = serde_json::json!({ "interface": "eth9" });
    let network = of(folder.path(), "get_network_stats", arguments).await.unwrap_err();
    assert_eq!(network, "there is no network interface \"eth9\"; there are: lo");
    let disk = of(folder.path(), "get_disk_stats", serde_json::json!({ "path": "srv" })).await.unwrap_err();
    assert_eq!(disk, "`path` has to be absolute and without `..`, not \"srv\"");
}

/// A cell's folder whose host is `host`, told by a provider of its own.
async fn cell_on(host: TempDir, test: impl AsyncFnOnce(&System, &Path)) {
    let cell = tempfile::tempdir().unwrap();
    for name in ["stat", "loadavg", "meminfo"] {
        std::fs::copy(host.path().join(name), cell.path().join(name)).unwrap();
    }
    let listen = |name: &str| {
        let listener = std::os::unix::net::UnixListener::bind(cell.path().join(name)).unwrap();
        listener.set_nonblocking(true).unwrap();
        listener
    };
    let sockets = provider::Sockets { file_systems: listen(FILE_SYSTEMS), interfaces: listen(INTERFACES) };
    let procfs = Procfs::Whole(host.path().to_owned());
    let system = System::told(cell.path().to_owned());
    tokio::select! {
        error = provider::tell(sockets, &procfs) => panic!("{error}"),
        () = test(&system, host.path()) => {}
    }
}

#[tokio::test]
async fn a_cell_is_told_what_it_cannot_see() {
    cell_on(proc(), async |system, _| {
        let none = serde_json::json!({});
        let disks = call(system, "get_disk_stats", none.clone()).await.unwrap();
        let points: Vec<_> = disks["file_systems"].as_array().unwrap().iter().collect();
        assert_eq!(points.len(), 1, "{disks}");
        assert_eq!((&points[0]["mount_point"], &points[0]["source"]), (&"/".into(), &"/dev/vda".into()));
        assert!(points[0]["total_bytes"].as_u64().unwrap() > 0);
        let held = call(system, "get_disk_stats", serde_json::json!({ "path": "/srv" })).await.unwrap();
        assert_eq!(held["file_systems"][0]["mount_point"], "/");
        let network = call(system, "get_network_stats", none.clone()).await.unwrap();
        assert_eq!(network["interfaces"][0]["received"]["bytes"], 7);
        for tool in system.tools() {
            call(system, tool.name, none.clone()).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn what_casemate_does_not_know_it_does_not_tell() {
    cell_on(proc(), async |system, host| {
        std::fs::remove_file(host.join("self/net/dev")).unwrap();
        let network = call(system, "get_network_stats", serde_json::json!({})).await.unwrap_err();
        assert!(network.ends_with("/interfaces: casemate does not tell"), "{network}");
    })
    .await;
}
