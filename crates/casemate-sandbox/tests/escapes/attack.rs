//! One attack: what it is, how it is run, and how it is judged.

use std::io;
use std::process::ExitCode;

use casemate_sandbox::learn::LearnSpec;
use casemate_sandbox::{Exit, Kind, Layer, Spec};

use crate::world::{Facts, World};
use crate::{ATTACK, attacks};

/// A row of the table.
#[derive(Clone, Copy)]
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// What stops it in a full cell. Empty where it makes no sense.
    pub(crate) full: &'static [Layer],
    /// What stops it in a light cell. Empty where nothing does: docs/sandbox.md says so.
    pub(crate) light: &'static [Layer],
    /// What has to go as well for the attack to be possible, although it does not stop it, or not on every kernel.
    pub(crate) also: &'static [Layer],
    /// Tries it. An error is a cell that held.
    pub(crate) body: fn(&Facts) -> io::Result<()>,
    /// Whether casemate takes over the cell's network.
    pub(crate) doors: Doors,
    /// Whether it can succeed here at all.
    pub(crate) possible: fn() -> bool,
}

impl Attack {
    pub(crate) const fn new(
        name: &'static str,
        full: &'static [Layer],
        light: &'static [Layer],
        body: fn(&Facts) -> io::Result<()>,
    ) -> Attack {
        Attack { name, full, light, also: &[], body, doors: Doors::None, possible: || true }
    }

    /// With something else out of the way.
    pub(crate) const fn also(self, also: &'static [Layer]) -> Attack {
        Attack { also, ..self }
    }

    /// In a cell with a network.
    pub(crate) const fn with_doors(self) -> Attack {
        Attack { doors: Doors::Kept, ..self }
    }

    /// Only where a condition holds.
    pub(crate) const fn when(self, possible: fn() -> bool) -> Attack {
        Attack { possible, ..self }
    }

    pub(crate) fn runs_in(&self, kind: Kind) -> bool {
        !self.layers(kind).is_empty() && (self.possible)()
    }

    fn layers(&self, kind: Kind) -> &'static [Layer] {
        match kind {
            Kind::Full => self.full,
            Kind::Light => self.light,
        }
    }
}

/// Whether a cell has a network.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doors {
    None,
    Kept,
}

/// Success, as the attacker sees it.
pub(crate) const BREACH: u8 = 42;
pub(crate) const HELD: u8 = 43;

/// The attacker's whole life.
pub(crate) fn play(name: &str, facts: &[String]) -> ExitCode {
    let attack = attacks::all().find(|attack| attack.name == name).unwrap();
    match (attack.body)(&Facts::of_args(facts)) {
        Ok(()) => ExitCode::from(BREACH),
        Err(error) => {
            println!("{error}");
            ExitCode::from(HELD)
        }
    }
}

/// The whole cell must hold, and so must a cell with any single one of the layers that the row claims. Without all of
/// them it must not.
pub(crate) fn run(attack: Attack, kind: Kind) {
    let world = World::new(kind);
    let claimed = attack.layers(kind);
    if let Outcome::Breach = attempt(&world, attack, &[]) {
        panic!("{kind} cell: {} succeeds", attack.name);
    }
    for alone in claimed {
        let others = claimed.iter().chain(attack.also).filter(|layer| *layer != alone);
        if let Outcome::Breach = attempt(&world, attack, &others.copied().collect::<Vec<_>>()) {
            panic!("{kind} cell with {alone} alone: {} succeeds", attack.name);
        }
    }
    // A watched cell shows the host, and still none of what is hidden.
    if kind == Kind::Full
        && let Outcome::Breach = attempt_watched(&world, attack)
    {
        panic!("watched cell: {} succeeds", attack.name);
    }
    let all = [claimed, attack.also].concat();
    if let Outcome::Held(how) = attempt(&world, attack, &all) {
        panic!("{kind} cell without {all:?}: {} still fails ({how})", attack.name);
    }
}

enum Outcome {
    Breach,
    Held(String),
}

fn attempt(world: &World, attack: Attack, without: &[Layer]) -> Outcome {
    let mut spec = spec(world, attack);
    spec.cell.as_mut().unwrap().without = without.to_vec();
    judge(attack, world.finish(spec))
}

fn attempt_watched(world: &World, attack: Attack) -> Outcome {
    let learn = LearnSpec::new(None).hide(world.facts.outside(""), "everything outside");
    match world.learn(spec(world, attack), learn) {
        Ok((cell, _lessons)) => judge(attack, world.end(cell)),
        Err(error) => panic!("{error} ({})", error.hint()),
    }
}

fn spec(world: &World, attack: Attack) -> Spec {
    let mut args = vec![ATTACK.to_owned(), attack.name.to_owned()];
    args.extend(world.facts.to_args());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut spec = world.spec(std::env::current_exe().unwrap().to_str().unwrap(), &args);
    if attack.doors == Doors::Kept {
        spec.cell.as_mut().unwrap().network = world.doors();
    }
    spec
}

fn judge(attack: Attack, outcome: (Exit, String)) -> Outcome {
    match outcome {
        (Exit::Code(code), _) if code == i32::from(BREACH) => Outcome::Breach,
        (Exit::Code(code), said) if code == i32::from(HELD) => Outcome::Held(said),
        // By the kernel, for want of memory.
        (Exit::Signal(libc::SIGKILL), said) => Outcome::Held(format!("killed {said}")),
        // The filter ends what uses another architecture.
        (Exit::Signal(libc::SIGSYS), said) => Outcome::Held(format!("killed {said}")),
        (exit, said) => panic!("{} ended with {exit}: {said}", attack.name),
    }
}
