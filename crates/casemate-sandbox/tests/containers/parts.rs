//! What a server in a container can be told to be.

#![expect(unsafe_code, reason = "a signal is ignored, which no safe wrapper offers")]

use std::io::{Read, Write};
use std::process::ExitCode;

use casemate_sandbox::Network;
use casemate_sandbox::container::{Engine, ImageSpec};
use casemate_testkit::engine::Docker;

use crate::stage::search;
use crate::world::DOOR;

pub(crate) fn play(part: &str, args: &[String]) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match part {
        "cat" => {
            std::io::copy(&mut std::io::stdin().lock(), &mut out).unwrap();
        }
        "say" => {
            println!("out");
            eprintln!("err");
            return ExitCode::from(3);
        }
        "files" => {
            for path in args {
                let text = std::fs::read_to_string(path).unwrap_or_else(|error| error.to_string());
                writeln!(out, "{}", text.replace('\0', "\n")).unwrap();
            }
        }
        "write" => {
            std::fs::write(&args[0], vec![b'x'; args[1].parse().unwrap()]).unwrap();
        }
        "much" => {
            let line = [vec![b'x'; 1023], vec![b'\n']].concat();
            (0..args[0].parse().unwrap()).for_each(|_| out.write_all(&line).unwrap());
        }
        "stubborn" => {
            // SAFETY: from now on nothing happens at this signal.
            unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
            writeln!(out, "ready").unwrap();
            loop {
                std::thread::park();
            }
        }
        "hog" => {
            let mut held = Vec::new();
            loop {
                held.push(vec![1_u8; 8 << 20]);
            }
        }
        "listen" => {
            let listener = std::net::TcpListener::bind(("127.0.0.1", args[0].parse().unwrap())).unwrap();
            writeln!(out, "ready").unwrap();
            std::io::stdin().lock().read_to_end(&mut Vec::new()).unwrap();
            drop(listener);
        }
        "dial" => {
            let dialed = std::net::TcpStream::connect(("127.0.0.1", args[0].parse().unwrap()));
            return ExitCode::from(u8::from(dialed.is_err()));
        }
        "reach" => {
            if let Err(error) = crate::way_out::pass(&args[0]) {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        }
        // On this side: one that starts a container and ends when it is told to, or is killed.
        "casemate" => casemate(args),
        other => panic!("no part {other}"),
    }
    ExitCode::SUCCESS
}

fn casemate(args: &[String]) {
    let [socket, image, installation] = args else { panic!("{args:?}") };
    let docker = Docker::running(std::path::Path::new(socket), image);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let engine = Engine::find(&search(&docker, installation)).await.unwrap();
        let mut spec = ImageSpec::new(image.parse().unwrap(), "left");
        spec.args = vec![crate::PART.to_owned(), "stubborn".to_owned()];
        spec.network = Network::Ports([DOOR].into());
        let container = engine.start(&spec).await.unwrap();
        println!("ready");
        tokio::task::block_in_place(|| std::io::stdin().lock().read_to_end(&mut Vec::new())).unwrap();
        drop(container);
        engine.close().await;
    });
}
