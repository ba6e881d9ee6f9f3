"""What is held out, and how often."""

from edge_ae_train.candidates import held_out_blocks


def test_every_row_is_held_out_once_where_rows_are_few() -> None:
    blocks = held_out_blocks(1001)
    assert [row for a, b in blocks for row in range(a, b)] == list(range(1001))
    first, last = held_out_blocks(100_000)[0][0], held_out_blocks(100_000)[-1][1]
    assert (first > 50_000, last) == (True, 100_000)
