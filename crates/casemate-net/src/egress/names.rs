//! The addresses that stand for names within one cell.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

use crate::destination::SYNTHETIC;
use crate::name::Name;

/// How many names have an address at the same time. A wildcard names any number of them, so the one that was used the
/// longest time ago gives way.
pub(super) const NAMES_MAX: usize = 4096;

/// The last of the [`SYNTHETIC`] addresses that is given, by its lower half. An address that was given up is given again only after all others, so that
/// whoever still remembers it finds nobody there, rather than somebody else.
const LAST: u16 = 65_534;

/// Which address stands for which name, both ways.
#[derive(Debug, Default)]
pub(super) struct Names {
    addresses: HashMap<Name, Ipv4Addr>,
    entries: HashMap<Ipv4Addr, Entry>,
    /// The addresses by their last use.
    order: BTreeMap<u64, Ipv4Addr>,
    uses: u64,
    last: u16,
}

#[derive(Debug)]
struct Entry {
    name: Name,
    used: u64,
}

impl Names {
    /// The address that stands for the name from now on.
    pub(super) fn address(&mut self, name: &Name) -> Ipv4Addr {
        let address = match self.addresses.get(name) {
            Some(address) => *address,
            None => self.give(name),
        };
        self.touch(address);
        address
    }

    /// The name that an address stands for.
    pub(super) fn name(&mut self, address: Ipv4Addr) -> Option<Name> {
        self.touch(address);
        self.entries.get(&address).map(|entry| entry.name.clone())
    }

    fn touch(&mut self, address: Ipv4Addr) {
        let Some(entry) = self.entries.get_mut(&address) else { return };
        self.order.remove(&entry.used);
        self.uses += 1;
        entry.used = self.uses;
        self.order.insert(self.uses, address);
    }

    fn give(&mut self, name: &Name) -> Ipv4Addr {
        if self.entries.len() >= NAMES_MAX {
            let oldest = self.order.pop_first().and_then(|(_, address)| self.entries.remove(&address));
            oldest.map(|entry| self.addresses.remove(&entry.name));
        }
        let address = self.next();
        self.addresses.insert(name.clone(), address);
        // Zero is nobody's last use: the first one is about to be counted.
        self.entries.insert(address, Entry { name: name.clone(), used: 0 });
        address
    }

    /// The next address that stands for nothing. There is one: far fewer are taken than exist.
    fn next(&mut self) -> Ipv4Addr {
        loop {
            self.last = if self.last >= LAST { 1 } else { self.last + 1 };
            let [first, second] = SYNTHETIC;
            let [third, fourth] = self.last.to_be_bytes();
            let address = Ipv4Addr::new(first, second, third, fourth);
            if !self.entries.contains_key(&address) {
                return address;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn name(index: usize) -> Name {
        Name::parse(&format!("n{index}.example.org")).expect("a name")
    }

    #[test]
    fn an_address_is_stable_and_leads_back() {
        let mut names = Names::default();
        let first = names.address(&name(1));
        let second = names.address(&name(2));
        assert_eq!(first, Ipv4Addr::new(127, 1, 0, 1));
        assert_eq!(second, Ipv4Addr::new(127, 1, 0, 2));
        assert_eq!(names.address(&name(1)), first);
        assert_eq!(names.name(second), Some(name(2)));
        assert_eq!(names.name(Ipv4Addr::new(127, 1, 0, 3)), None);
    }

    #[test]
    fn the_name_that_was_used_longest_ago_gives_way() {
        let mut names = Names::default();
        let kept = names.address(&name(0));
        let gone = names.address(&name(1));
        for index in 2..NAMES_MAX {
            names.address(&name(index));
        }
        // Dialing an address is a use of it.
        assert_eq!(names.name(kept), Some(name(0)));
        names.address(&name(NAMES_MAX));
        assert_eq!(names.entries.len(), NAMES_MAX);
        assert_eq!(names.addresses.len(), NAMES_MAX);
        assert_eq!(names.order.len(), NAMES_MAX);
        assert_eq!(names.name(kept), Some(name(0)));
        assert_eq!(names.name(gone), None);
    }

    #[test]
    fn an_address_that_was_given_up_is_the_last_to_be_given_again() {
        let mut names = Names::default();
        let all = usize::from(LAST);
        let given = (0..all).map(|index| names.address(&name(index))).collect::<HashSet<_>>();
        assert_eq!(given.len(), all);
        assert!(given.iter().all(|address| address.octets().starts_with(&SYNTHETIC)));
        // Around once, past those that are still taken.
        let again = names.address(&name(all));
        assert_eq!(again, Ipv4Addr::new(127, 1, 0, 1));
        assert_eq!(names.name(again), Some(name(all)));
    }
}
