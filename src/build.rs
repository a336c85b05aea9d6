//! Tells cargo that the page is part of the program: a changed or new file in `web/` makes a new build.

fn main() {
    println!("cargo:rerun-if-changed=web");
}
