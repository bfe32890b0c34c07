//! Several ranges, several lines, and more than anybody needs.

use super::Expected::{Part, Parts, Unsatisfiable, Whole};
use super::{COUNTS, EMPTY, FIRST_LINE, GREEDY, REFUSES, SIZE, Vector, get};

const FIVE: &[(usize, usize)] = &[(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)];

pub const TABLE: &[Vector] = &[
    // Two to five, ascending and disjoint.
    get(&["Range: bytes=0-1,5-6"], Parts(&[(0, 2), (5, 7)])),
    get(&["Range: bytes=0-1, 5-6"], Parts(&[(0, 2), (5, 7)])),
    get(&["Range: bytes=0-1  ,  5-6"], Parts(&[(0, 2), (5, 7)])),
    get(&["Range: bytes=0-1\t,\t5-6"], Parts(&[(0, 2), (5, 7)]))
        .nginx(Unsatisfiable, "nginx takes no tab around a list element"),
    get(&["Range: bytes=0-0,-1"], Parts(&[(0, 1), (299_999, SIZE)])),
    get(&["Range: bytes=0-9,299000-"], Parts(&[(0, 10), (299_000, SIZE)])),
    get(&["Range: bytes=0-4,5-9"], Parts(&[(0, 5), (5, 10)])),
    get(
        &["Range: bytes=0-131071,131072-262144"],
        Parts(&[(0, 131_072), (131_072, 262_145)]),
    ),
    get(
        &["Range: bytes=0-149999,150000-299999"],
        Parts(&[(0, 150_000), (150_000, SIZE)]),
    ),
    get(
        &["Range: bytes=0-9,100-109,1000-1009"],
        Parts(&[(0, 10), (100, 110), (1000, 1010)]),
    ),
    get(
        &["Range: bytes=0-9,100-109,1000-1009,-10"],
        Parts(&[(0, 10), (100, 110), (1000, 1010), (299_990, SIZE)]),
    ),
    get(&["Range: bytes=0-0,2-2,4-4,6-6,8-8"], Parts(FIVE)),
    get(
        &["Range: bytes=0-0,2-2,4-4,6-6,-1"],
        Parts(&[(0, 1), (2, 3), (4, 5), (6, 7), (299_999, SIZE)]),
    ),
    // Empty elements.
    get(&["Range: bytes=,"], Whole).nginx(Unsatisfiable, EMPTY),
    get(&["Range: bytes=,,, ,"], Whole).nginx(Unsatisfiable, EMPTY),
    get(&["Range: bytes=,5-9"], Part(5, 10)).nginx(Unsatisfiable, EMPTY),
    get(&["Range: bytes=5-9,"], Part(5, 10)).nginx(Unsatisfiable, EMPTY),
    get(&["Range: bytes=5-9,,20-29"], Parts(&[(5, 10), (20, 30)])).nginx(Unsatisfiable, EMPTY),
    get(&["Range: bytes=5-9, ,20-29,"], Parts(&[(5, 10), (20, 30)])).nginx(Unsatisfiable, EMPTY),
    get(&["Range: bytes=0-0,,2-2,,4-4,,6-6,,8-8"], Parts(FIVE)).nginx(Unsatisfiable, EMPTY),
    // Members beyond the end are left out.
    get(&["Range: bytes=5-9,400000-500000"], Part(5, 10)),
    get(&["Range: bytes=400000-500000,5-9"], Part(5, 10)),
    get(&["Range: bytes=400000-,5-9,20-29"], Parts(&[(5, 10), (20, 30)])),
    get(&["Range: bytes=-0,5-9"], Part(5, 10)),
    get(&["Range: bytes=400000-500000,600000-"], Unsatisfiable),
    get(&["Range: bytes=-0,-0"], Unsatisfiable),
    get(&["Range: bytes=300000-,-0,18446744073709551615-"], Unsatisfiable),
    get(&["Range: bytes=0-0,2-2,4-4,6-6,8-8,400000-"], Whole).nginx(Parts(FIVE), COUNTS),
    // One that is no range spoils all.
    get(&["Range: bytes=0-1,5-4"], Whole).nginx(Part(0, 2), "nginx leaves out a range that ends before it starts"),
    get(&["Range: bytes=0-1,x"], Whole).nginx(Unsatisfiable, REFUSES),
    get(&["Range: bytes=0-1,0x5-9"], Whole).nginx(Unsatisfiable, REFUSES),
    get(&["Range: bytes=0-1;3-4"], Whole).nginx(Unsatisfiable, REFUSES),
    get(&["Range: bytes=0-1,items=5-6"], Whole).nginx(Unsatisfiable, REFUSES),
    // Overlapping and unordered ones.
    get(&["Range: bytes=0-5,3-9"], Whole).nginx(Parts(&[(0, 6), (3, 10)]), GREEDY),
    get(&["Range: bytes=0-5,5-9"], Whole).nginx(Parts(&[(0, 6), (5, 10)]), GREEDY),
    get(&["Range: bytes=0-0,0-0"], Whole).nginx(Parts(&[(0, 1), (0, 1)]), GREEDY),
    get(&["Range: bytes=0-9,2-3"], Whole).nginx(Parts(&[(0, 10), (2, 4)]), GREEDY),
    get(&["Range: bytes=500-600,0-1"], Whole).nginx(Parts(&[(500, 601), (0, 2)]), GREEDY),
    get(&["Range: bytes=-1,0-0"], Whole).nginx(Parts(&[(299_999, SIZE), (0, 1)]), GREEDY),
    get(&["Range: bytes=0-299999,-1"], Whole),
    get(&["Range: bytes=0-,0-"], Whole),
    get(&["Range: bytes=0-,0-,0-,0-,0-"], Whole),
    // Too many.
    get(&["Range: bytes={few:6}"], Whole),
    get(&["Range: bytes={few:50}"], Whole),
    get(&["Range: bytes={few:1000}"], Whole),
    get(&["Range: bytes={few:10000}"], Whole),
    get(&["Range: bytes=0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-"], Whole),
    // Range is no list: several lines are none.
    get(&["Range: bytes=0-1", "Range: bytes=5-6"], Whole).nginx(Part(0, 2), FIRST_LINE),
    get(&["Range: bytes=0-1", "Range: 5-6"], Whole).nginx(Part(0, 2), FIRST_LINE),
    get(&["Range: bytes=0-1", "Range: bytes=0-1"], Whole).nginx(Part(0, 2), FIRST_LINE),
    get(&["Range: bytes=0-1", "Range:"], Whole).nginx(Part(0, 2), FIRST_LINE),
];
