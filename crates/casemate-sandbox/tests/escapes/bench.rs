//! What entering costs: `escapes --bench`, on an idle machine and in a release build.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use casemate_sandbox::{CellSpec, Kind, Network, Spawner, Spec};

/// How often each is measured.
const ROUNDS: usize = 50;

pub(crate) fn run() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let spawner = Spawner::start().unwrap();
        spawner.host();
        let networked = CellSpec { network: Network::Ports([443].into()), ..CellSpec::new(Kind::Full) };
        let rooms = [
            ("contained", None),
            ("light", Some(CellSpec::new(Kind::Light))),
            ("full", Some(CellSpec::new(Kind::Full))),
            ("full, networked", Some(networked)),
        ];
        let mut times = vec![Vec::new(); rooms.len() + 1];
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            std::process::Command::new("/bin/true").status().unwrap();
            times[0].push(begun.elapsed());
            for ((_, room), times) in rooms.iter().zip(&mut times[1..]) {
                let spec = Spec {
                    program: "/bin/true".into(),
                    args: Vec::new(),
                    env: Vec::new(),
                    cwd: None,
                    label: "bench".to_owned(),
                    cell: room.clone(),
                };
                let begun = Instant::now();
                let cell = spawner.spawn(spec).await.unwrap();
                let started = begun.elapsed();
                cell.handle.wait().await;
                times.push(started);
            }
        }
        for (name, times) in
            ["plain, to its end"].into_iter().chain(rooms.iter().map(|(name, _)| *name)).zip(&mut times)
        {
            times.sort();
            println!("{name:<20} best {:>8.3} ms, median {:>8.3} ms", ms(times[0]), ms(times[ROUNDS / 2]));
        }
    });
    ExitCode::SUCCESS
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
