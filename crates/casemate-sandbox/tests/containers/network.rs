//! A network by name, in a container.

use casemate_sandbox::container::{Engine, ImageSpec};
use casemate_sandbox::{Exit, Kind};
use casemate_testkit::engine::Docker;

use crate::stage::{self, search};
use crate::way_out;
use crate::world::World;

pub(crate) const NAME: &str = "a_network_by_name_carries_what_is_granted_and_records_the_rest";

pub(crate) fn by_name(docker: &Docker) {
    let world = World::new(Kind::Full);
    let mut spec = ImageSpec::new(docker.image.parse().unwrap(), "network");
    spec.args = vec![crate::PART.to_owned(), "reach".to_owned(), way_out::part(&world)];
    spec.network = world.doors();
    let engine = world.run(Engine::find(&search(docker, "network"))).unwrap();
    let mut container = world.run(engine.start(&spec)).unwrap_or_else(|error| panic!("{error}"));
    let doorway = container.doorway.take().unwrap();
    way_out::judge(&world, doorway, || {
        let (exit, _, said) = world.run(stage::finish(container));
        assert_eq!(exit, Exit::Code(0), "{said}");
    });
    world.run(engine.close());
    assert_eq!(docker.containers().unwrap(), [""; 0]);
    assert_eq!(docker.client(&["images", "--quiet", "casemate-doors"]).unwrap(), "");
}
