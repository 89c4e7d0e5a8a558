//! Many lines of a program that acquire one lock, as real programs have them: each is an acquisition point of its own.

use std::hint::black_box;

use crate::locks::Lock;

/// How many lines there are.
pub const COUNT: usize = 64;

/// Acquires and releases `times` times, all lines taking turns.
#[inline(never)]
pub fn spin<L: Lock>(lock: &L, times: u64) {
    let sites = sites::<L>();
    for turn in 0..times as usize {
        sites[turn % COUNT](lock);
    }
}

// The numbers keep the compiler from making one function of those that are alike.
#[rustfmt::skip]
fn sites<L: Lock>() -> [fn(&L); COUNT] {
    [
        |lock| { black_box(0_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(1_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(2_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(3_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(4_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(5_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(6_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(7_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(8_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(9_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(10_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(11_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(12_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(13_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(14_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(15_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(16_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(17_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(18_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(19_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(20_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(21_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(22_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(23_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(24_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(25_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(26_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(27_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(28_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(29_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(30_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(31_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(32_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(33_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(34_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(35_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(36_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(37_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(38_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(39_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(40_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(41_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(42_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(43_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(44_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(45_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(46_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(47_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(48_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(49_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(50_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(51_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(52_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(53_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(54_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(55_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(56_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(57_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(58_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(59_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(60_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(61_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(62_u8); drop(black_box(lock).acquire()) },
        |lock| { black_box(63_u8); drop(black_box(lock).acquire()) },
    ]
}
