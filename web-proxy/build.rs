//! The page is compiled in: a new build of it must rebuild this crate. The folder is missing until `make ui` ran, and
//! cargo takes a missing path as changed, so a fresh clone still works.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=ui/dist");
}
