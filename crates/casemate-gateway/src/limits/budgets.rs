//! What may be used in a day of UTC.
//!
//! A restart must not begin a day anew, and a call must not cost a write. So a part of the budget is written down as
//! used before it is: a 64th at a time. When the gateway ends in order, what was really used is written; when it is
//! killed, the rest of one part is lost to the user, and never won.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;

use crate::clock;
use crate::ports::{Ledger, Spent};
use crate::refusal::{Code, Refusal, Retry};

/// Purses that are kept. Beyond them all others share one of each size, so that new names are no new budgets.
const PURSES_MAX: usize = 65_536;

/// Into how many parts a budget is divided for writing down.
const PARTS: u64 = 64;

const DAY_S: u64 = 86_400;

/// What somebody may use in a day, and by what it is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purse<'a> {
    /// Its kind and whose it is: what is written down.
    pub(super) name: [&'a str; 3],
    /// A hash of the same.
    pub(super) key: u64,
    /// How much.
    pub(super) budget: u64,
}

/// All purses of the day.
#[derive(Debug)]
pub(super) struct Budgets {
    ledger: Arc<dyn Ledger>,
    day: Mutex<Day>,
}

#[derive(Debug, Default)]
struct Day {
    number: u64,
    /// By what stands for a purse, which is a hash already.
    used: HashMap<u64, Used, RandomState>,
    /// What was written down by an earlier run and is not yet in `used`.
    before: HashMap<Box<str>, u64>,
}

#[derive(Debug)]
struct Used {
    name: Box<str>,
    count: u64,
    /// What is written down, never less than the count.
    written: u64,
}

impl Budgets {
    pub(super) fn new(ledger: Arc<dyn Ledger>, spent: Vec<Spent>) -> Self {
        let number = today();
        // What was written under a later day was written before the clock was set back: it counts today.
        let current = spent.into_iter().filter(|spent| spent.day >= number);
        let before = current.map(|spent| (spent.name, spent.count)).collect();
        Budgets { ledger, day: Mutex::new(Day { number, used: HashMap::default(), before }) }
    }

    /// Uses one of each purse, or of none.
    pub(super) fn spend(&self, purses: &[Purse<'_>]) -> Result<(), Refusal> {
        let mut day = self.day.lock().unwrap_or_else(PoisonError::into_inner);
        day.turn(today());
        for purse in purses {
            let used = day.of(purse);
            if used.count >= purse.budget {
                return Err(spent(purse));
            }
        }
        for purse in purses {
            let number = day.number;
            let used = day.of(purse);
            used.count += 1;
            if used.count > used.written {
                used.written = used.count.saturating_add((purse.budget / PARTS).max(1) - 1).min(purse.budget);
                self.ledger.write(Spent { name: used.name.clone(), day: number, count: used.written });
            }
        }
        Ok(())
    }

    pub(super) fn settle(&self) {
        let mut day = self.day.lock().unwrap_or_else(PoisonError::into_inner);
        let number = day.number;
        for used in day.used.values_mut().filter(|used| used.count < used.written) {
            used.written = used.count;
            self.ledger.write(Spent { name: used.name.clone(), day: number, count: used.count });
        }
    }
}

impl Day {
    /// A new day begins with full purses. A clock that was set back begins none.
    fn turn(&mut self, today: u64) {
        if today > self.number {
            self.used.clear();
            self.before.clear();
        }
        self.number = today;
    }

    fn of(&mut self, purse: &Purse<'_>) -> &mut Used {
        let [kind, owner, part] = purse.name;
        let full = self.used.len() >= PURSES_MAX && !self.used.contains_key(&purse.key);
        let key = if full { purse.budget } else { purse.key };
        let before = &mut self.before;
        self.used.entry(key).or_insert_with(|| {
            let name: Box<str> = match (full, part) {
                (true, _) => format!("others {}", purse.budget).into(),
                (false, "") => format!("{kind} {owner}").into(),
                (false, part) => format!("{kind} {owner}/{part}").into(),
            };
            let count = before.remove(&name).unwrap_or_default();
            Used { name, count, written: count }
        })
    }
}

fn spent(purse: &Purse<'_>) -> Refusal {
    let left = Duration::from_secs(DAY_S - clock::unix_now().as_secs() % DAY_S);
    let whose = match purse.name {
        ["tool", _, tool] => format!("The tool {tool} was"),
        _ => "You were".to_owned(),
    };
    let message = format!(
        "{whose} given {} calls for this day, and they are used; the next day begins at 0:00 UTC.",
        purse.budget
    );
    Refusal::new(Code::BudgetSpent, message).with_retry(Retry::After(left))
}

fn today() -> u64 {
    clock::unix_now().as_secs() / DAY_S
}
