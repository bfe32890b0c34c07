//! The promise of the room, tried at random: whatever the bus loses, repeats and reorders, however reads are late, short or
//! fail, everybody sees each entry after the number they came with exactly once, in order, in the form they asked for; and
//! what was taken back is not handed out from memory.

mod joins;
mod world;

use rand::RngExt;
use world::World;

#[test]
fn everybody_sees_each_entry_exactly_once_in_order() {
    let given = std::env::var("SLUICE_TEST_SEED").ok().map(|seed| seed.parse().unwrap());
    let seed: u64 = given.unwrap_or_else(rand::random);
    let mut seen = [0; 5];
    for round in 0..60 {
        // What is printed is shown when the test fails.
        println!("SLUICE_TEST_SEED={seed} round {round}");
        let mut world = World::new(seed.wrapping_add(round));
        for _ in 0..world.random.random_range(50..600) {
            world.step();
        }
        world.settle();
        world.check();
        let counts = [
            world.members.len(),
            world.repaired,
            world.paged,
            world.refused,
            world.blanked,
        ];
        seen.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    println!("members, repairs, pages, refusals, blanked: {seen:?}");
    assert!(
        seen.iter().all(|count| *count > 20),
        "what is rare was tried too: {seen:?}"
    );
}
