//! How many steps a schema can take. Subschemas that apply to the same value again and again multiply with each
//! reference between them: forty short lines of `allOf` and `$ref` would keep a processor busy for a year.

use std::collections::HashMap;

use serde_json::Value;

/// Deepest value that is looked ahead to; no message is deeper.
const DEPTH_MAX: usize = 128;

/// Subschemas that may be open at the same time while one value is judged.
const OPEN_MAX: u64 = 4096;

/// The steps that one schema takes for a value of one leaf, by the depth of the value.
#[derive(Debug)]
pub(super) struct Cost {
    steps: Vec<u64>,
}

/// One subschema: whom it hands its value and the parts of its value on to.
#[derive(Debug, Default)]
struct Node {
    /// They judge the same value.
    here: Vec<usize>,
    /// At most one of them judges a given part.
    one: Vec<usize>,
    /// All of them judge a given part.
    each: Vec<usize>,
    /// How often `here` is gone through: what was left unevaluated is found by evaluating once more.
    rounds: u64,
}

impl Cost {
    /// Looks ahead.
    ///
    /// # Errors
    /// A sentence that says why the schema cannot be used.
    pub(super) fn of(schema: &Value) -> Result<Cost, String> {
        let nodes = Reader::read(schema)?;
        let order = order(&nodes).ok_or("it refers to itself without going deeper")?;
        let mut steps = Vec::new();
        let mut below: Option<Vec<(u64, u64)>> = None;
        for _ in 0..=DEPTH_MAX {
            let level = level(&nodes, &order, below.as_deref());
            if below.as_ref() == Some(&level) {
                break;
            }
            let (cost, open) = level.first().copied().unwrap_or_default();
            // Deeper values than those that can be judged have no price.
            if open > OPEN_MAX {
                steps.push(u64::MAX);
                break;
            }
            steps.push(cost);
            below = Some(level);
        }
        Ok(Cost { steps })
    }

    /// The most steps that a value can take.
    pub(super) fn for_value(&self, value: &Value) -> u64 {
        let (depth, leaves) = measure(value);
        let steps = self.steps.get(depth).or(self.steps.last()).copied().unwrap_or(u64::MAX);
        steps.saturating_mul(leaves)
    }
}

/// Depth and leaves of a value. The depth of what was received is bounded, and with it this recursion.
fn measure(value: &Value) -> (usize, u64) {
    let over = |(depth, leaves): (usize, u64), inner| {
        let (below, more) = measure(inner);
        (depth.max(below + 1), leaves + more)
    };
    let (depth, leaves) = match value {
        Value::Array(list) => list.iter().fold((0, 0), over),
        Value::Object(members) => members.values().fold((0, 0), over),
        _ => (0, 1),
    };
    (depth, leaves.max(1))
}

/// Steps and open subschemas of every node for values of one more level than `below`.
fn level(nodes: &[Node], order: &[usize], below: Option<&[(u64, u64)]>) -> Vec<(u64, u64)> {
    let mut level = vec![(0_u64, 0_u64); nodes.len()];
    let at = |table: &[(u64, u64)], index: &usize| table.get(*index).copied().unwrap_or_default();
    for index in order {
        let Some(node) = nodes.get(*index) else { continue };
        let (mut cost, mut open) = (0_u64, 0_u64);
        for (more, deep) in node.here.iter().map(|inner| at(&level, inner)) {
            cost = cost.saturating_add(more.saturating_mul(node.rounds));
            open = open.max(deep);
        }
        if let Some(below) = below {
            cost = cost.saturating_add(node.one.iter().map(|inner| at(below, inner).0).max().unwrap_or(0));
            for inner in &node.each {
                cost = cost.saturating_add(at(below, inner).0);
            }
            open = node.one.iter().chain(&node.each).map(|inner| at(below, inner).1).fold(open, u64::max);
        }
        if let Some(place) = level.get_mut(*index) {
            *place = (cost.saturating_add(1), open.saturating_add(1));
        }
    }
    level
}

/// The nodes, each after those that judge the same value for it; `None` when that leads back to where it began.
fn order(nodes: &[Node]) -> Option<Vec<usize>> {
    let mut waits: Vec<usize> = nodes.iter().map(|node| node.here.len()).collect();
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        for inner in &node.here {
            users.get_mut(*inner)?.push(index);
        }
    }
    let mut order: Vec<usize> = (0..nodes.len()).filter(|index| waits.get(*index) == Some(&0)).collect();
    let mut next = 0;
    while let Some(done) = order.get(next).copied() {
        next += 1;
        for user in users.get(done)? {
            let wait = waits.get_mut(*user)?;
            *wait -= 1;
            if *wait == 0 {
                order.push(*user);
            }
        }
    }
    (order.len() == nodes.len()).then_some(order)
}

/// Reads the subschemas that can be reached.
struct Reader<'a> {
    root: &'a Value,
    /// The schema's own name, which references may begin with.
    id: &'a str,
    /// Values with a name of their own, `$anchor` and its kin.
    named: HashMap<&'a str, Vec<&'a Value>>,
    /// A part has another base for its references than the whole.
    has_inner_base: bool,
    known: HashMap<*const Value, usize>,
    found: Vec<&'a Value>,
}

impl<'a> Reader<'a> {
    fn read(root: &'a Value) -> Result<Vec<Node>, String> {
        let id = root.get("$id").and_then(Value::as_str).unwrap_or_default().trim_end_matches('#');
        let mut reader = Reader {
            root,
            id,
            named: HashMap::new(),
            has_inner_base: false,
            known: HashMap::new(),
            found: Vec::new(),
        };
        reader.name(root);
        reader.index(root);
        let mut nodes = Vec::new();
        while let Some(value) = reader.found.get(nodes.len()).copied() {
            nodes.push(reader.node(value)?);
        }
        Ok(nodes)
    }

    /// Finds what has a name. The depth of a checked text is bounded, and with it this recursion.
    fn name(&mut self, value: &'a Value) {
        if let Value::Object(members) = value {
            for word in ["$anchor", "$dynamicAnchor", "$id", "id"] {
                let Some(name) = members.get(word).and_then(Value::as_str) else { continue };
                match name.strip_prefix('#').or(word.ends_with("nchor").then_some(name)) {
                    Some(name) => self.named.entry(name).or_default().push(value),
                    None => self.has_inner_base |= !std::ptr::eq(value, self.root),
                }
            }
            members.values().for_each(|inner| self.name(inner));
        } else if let Value::Array(list) = value {
            list.iter().for_each(|inner| self.name(inner));
        }
    }

    fn index(&mut self, value: &'a Value) -> usize {
        let next = self.found.len();
        let index = *self.known.entry(std::ptr::from_ref(value)).or_insert(next);
        if index == next {
            self.found.push(value);
        }
        index
    }

    fn node(&mut self, schema: &'a Value) -> Result<Node, String> {
        let mut node = Node { rounds: 1, ..Node::default() };
        let Value::Object(members) = schema else { return Ok(node) };
        for (word, value) in members {
            match word.as_str() {
                "not" | "if" | "then" | "else" => node.here.push(self.index(value)),
                "allOf" | "anyOf" | "oneOf" | "dependentSchemas" | "dependencies" => {
                    self.parts(value, &mut node.here);
                }
                "$ref" | "$dynamicRef" | "$recursiveRef" => {
                    for target in self.targets(value.as_str().unwrap_or_default())? {
                        node.here.push(self.index(target));
                    }
                }
                "properties" | "prefixItems" => self.parts(value, &mut node.one),
                "additionalProperties" | "additionalItems" => node.one.push(self.index(value)),
                "items" if value.is_array() => self.parts(value, &mut node.one),
                "items" => node.one.push(self.index(value)),
                "patternProperties" => self.parts(value, &mut node.each),
                "contains" | "propertyNames" => node.each.push(self.index(value)),
                "unevaluatedProperties" | "unevaluatedItems" => {
                    node.each.push(self.index(value));
                    node.rounds = 4;
                }
                _ => {}
            }
        }
        Ok(node)
    }

    fn parts(&mut self, value: &'a Value, into: &mut Vec<usize>) {
        match value {
            Value::Array(list) => list.iter().for_each(|inner| into.push(self.index(inner))),
            Value::Object(members) => members.values().for_each(|inner| into.push(self.index(inner))),
            _ => {}
        }
    }

    /// What a reference can lead to.
    fn targets(&self, reference: &str) -> Result<Vec<&'a Value>, String> {
        let elsewhere = || format!("{reference:?} is not a reference to a part of the schema itself");
        if self.has_inner_base {
            return Err("it has references and a part with an $id of its own".to_owned());
        }
        let local = reference.strip_prefix(self.id).unwrap_or(reference);
        let name = local.strip_prefix('#').or(local.is_empty().then_some("")).ok_or_else(elsewhere)?;
        let name = decoded(name);
        if name.is_empty() || name.starts_with('/') {
            return self.root.pointer(&name).map(|target| vec![target]).ok_or_else(elsewhere);
        }
        self.named.get(name.as_str()).cloned().ok_or_else(elsewhere)
    }
}

/// A fragment without its percent signs.
fn decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let mut rest = bytes.clone();
        let digits = [rest.next(), rest.next()].map(|digit| char::from(digit.unwrap_or(b' ')).to_digit(16));
        match (byte, digits) {
            (b'%', [Some(high), Some(low)]) => {
                plain.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                bytes = rest;
            }
            _ => plain.push(byte),
        }
    }
    String::from_utf8(plain).unwrap_or_default()
}
