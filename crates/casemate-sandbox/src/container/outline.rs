//! What an engine will be asked for, told before there is a container, layer by layer.

use serde_json::Value;

use super::about::About;
use super::blueprint::{self, Surroundings};
use super::image::Image;
use super::report::MADE_OF;
use super::spec::ImageSpec;
use crate::room::{Layer, Network};

/// One layer of a container, and the settings that make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// Which layer.
    pub layer: Layer,
    /// The settings, by the engine's names.
    pub settings: Vec<Setting>,
}

/// A setting of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name, as in `CapDrop`.
    pub name: String,
    /// Its values, for a person.
    pub values: Vec<String>,
}

impl ImageSpec {
    /// What an engine that can enforce everything will be asked for. An image may add folders that are temporary then.
    pub fn outline(&self) -> Vec<Outline> {
        let about = About::able();
        let surroundings = Surroundings {
            about: &about,
            filter: "the allow-list of cells, everything else refused",
            labels: Value::Null,
            names: None,
        };
        let blueprint = blueprint::draft(self, &Image::unseen(), &surroundings);
        let setting = |pointer: &&str| {
            let value = blueprint.body.0.pointer(pointer.strip_prefix("/Config").unwrap_or(pointer))?;
            let mut parts = pointer.rsplit('/');
            let last = parts.next()?;
            // One of a list is called as the list is.
            let name = if last.bytes().all(|byte| byte.is_ascii_digit()) { parts.next()? } else { last };
            let values = match (name, &self.network) {
                ("NetworkMode", Network::Ports(_)) => {
                    vec!["one of its own, whose doors lead to casemate".to_owned()]
                }
                _ => said(value),
            };
            Some(Setting { name: name.to_owned(), values })
        };
        let outline = |(layer, pointers): (Layer, &[&str])| Outline {
            layer,
            settings: pointers.iter().filter_map(setting).collect(),
        };
        MADE_OF.into_iter().map(outline).collect()
    }
}

fn said(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::Bool(yes) => vec![if *yes { "yes" } else { "no" }.to_owned()],
        Value::Number(number) => vec![number.to_string()],
        // To an engine, nothing is one of the container's own.
        Value::String(text) if text.is_empty() => vec!["private".to_owned()],
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(said).collect(),
        Value::Object(members) => match members.get("Name").and_then(Value::as_str) {
            Some(name) => members.get("Hard").map(|most| format!("{name} {most}")).into_iter().collect(),
            None => members.iter().map(|(name, value)| format!("{name} {}", said(value).join(" "))).collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(outline: &[Outline], layer: Layer) -> Vec<String> {
        let of = outline.iter().filter(|outline| outline.layer == layer).flat_map(|one| &one.settings);
        of.map(|setting| format!("{}: {}", setting.name, setting.values.join(", "))).collect()
    }

    #[test]
    fn every_layer_that_is_checked_is_told_with_its_settings() {
        let image = format!("ghcr.io/a/b@sha256:{}", "0".repeat(64));
        let mut spec = ImageSpec::new(image.parse().unwrap(), "test");
        spec.user = Some(4711);
        let outline = spec.outline();
        assert_eq!(outline.len(), MADE_OF.len());
        for (layer, expected) in [
            (Layer::Identity, "User: 4711:4711"),
            (Layer::ReadOnly, "ReadonlyRootfs: yes"),
            (Layer::Network, "NetworkMode: none, PublishAllPorts: no"),
            (Layer::Capabilities, "CapDrop: ALL, CapAdd: , Privileged: no"),
            (Layer::NoNewPrivileges, "SecurityOpt: no-new-privileges"),
            (Layer::Seccomp, "SecurityOpt: the allow-list of cells, everything else refused"),
            (Layer::Tasks, "PidsLimit: 256"),
            (Layer::OpenFiles, "Ulimits: nofile 1024"),
        ] {
            assert_eq!(values(&outline, layer).join(", "), expected, "{layer}");
        }
        spec.network = Network::Ports([443].into());
        assert!(values(&spec.outline(), Layer::Network)[0].contains("doors"));
    }
}
