//! Classes in the format of the kernel's `/proc/lockdep`, which every tool that reads that reads.

use std::fmt::Write;

use lockdep_core::ClassListing;

/// Returns the list, every line ended by a line feed.
pub fn render(classes: &[ClassListing]) -> String {
    let mut out = "all lock classes:\n".to_owned();
    for ClassListing { id, class, forward, backward, usage, inner } in classes {
        writeln!(out, "{id:016x} FD: {forward:4} BD: {backward:4} {usage}: {class}")
            .expect("a string takes everything");
        for (id, class) in inner {
            writeln!(out, " -> [{id:016x}] {class}").expect("a string takes everything");
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_and_its_dependencies_read_like_the_kernels() {
        let class = |id, class: &str, inner| ClassListing {
            id,
            class: class.to_owned(),
            forward: 2,
            backward: 1,
            usage: "+.-?".to_owned(),
            inner,
        };
        let classes = [class(256, "outer", vec![(512, "inner".to_owned())]), class(512, "inner", Vec::new())];
        let expected = "\
all lock classes:
0000000000000100 FD:    2 BD:    1 +.-?: outer
 -> [0000000000000200] inner

0000000000000200 FD:    2 BD:    1 +.-?: inner

";
        assert_eq!(render(&classes), expected);
    }
}
