"""Tables as people's programs write them."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hasvideo.datasets.table import parse_number, parse_seconds, read_table
from hasvideo.errors import HasvideoError

COLUMNS = ("video", "start", "end", "label")
ROWS = [("clip", 1.5, 3.25, "wave"), ("clip", 5.0, 7.5, "Grüße")]


def read(path, columns=COLUMNS):
    return [
        (r["video"], r.seconds("start"), r.seconds("end"), r["label"])
        for r in read_table(path, columns, numbers=("start", "end"))
    ]


@pytest.mark.parametrize("data", [
    "video,start,end,label\nclip,1.5,3.25,wave\nclip,5,7.5,Grüße\n".encode(),
    "video;start;end;label\r\nclip;1,5;3,25;wave\r\nclip;5;7,5;Grüße\r\n".encode("cp1252"),
    "video\tstart\tend\tlabel\r\nclip\t1,5\t3,25\twave\r\nclip\t5\t7,5\tGrüße\r\n".encode("utf-16"),
    "video\tstart\tend\tlabel\nclip\t1.5\t3.25\twave\nclip\t5\t7.5\tGrüße".encode("utf-16-be"),
    b"\xfe\xff" + "video,start,end,label\nclip,1.5,3.25,wave\nclip,5,7.5,Grüße".encode("utf-16-be"),
    "sep=;\r\nVideo;Start;End;Label\r\nclip;1.5;3.25;wave\r\nclip;5;7.5;Grüße\r\n".encode("utf-8-sig"),
    "\"SEP=\t\"\nvideo\tstart\tend\tlabel\nclip\t1.5\t3.25\twave\nclip\t5\t7.5\tGrüße".encode(),
    "\n;;;;\n VIDEO ; Start;END;label;;\n\nclip;0:01,5;0:00:03,25;wave;;\n;;;;;\nclip;5;00:07.5;Grüße;;\n".encode(),
    "video,start,end,label\rclip,1.5,3.25,wave\rclip,5,7.5,Grüße\r".encode(),
    'label, "end" ,note,"start",video\nwave,"3,25","two\nlines, quoted","1,5",clip\nGrüße,"7,5",,"5,0",clip\n'.encode(),
    "video|start|end|label\nclip|1.5|3.25|wave\nclip|5|7.5|Grüße\n".encode(),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*Windows-1252")
def test_the_same_table_by_many_programs(tmp_path, data):
    (tmp_path / "t.csv").write_bytes(data)
    assert read(tmp_path / "t.csv") == ROWS


def test_the_given_file(shared_data):
    assert read(shared_data / "faults" / "c_sep.csv") == [
        ("clip", 1.5, 3.25, "wave"),
        ("clip", 5.0, 7.5, "Grüße, \N{WAVING HAND SIGN}"),
    ]


CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n"), min_size=1).map(str.strip)
TIMES = st.integers(0, 10**7).map(lambda thousandths: thousandths / 1000)


@given(
    rows=st.lists(st.tuples(CELLS.filter(bool), TIMES, TIMES, CELLS.filter(bool)), min_size=1),
    separator=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    end=st.sampled_from(["\n", "\r\n"]),
    declared=st.booleans(),
    comma=st.booleans(),
    header=st.permutations(range(4)),
    upper=st.booleans(),
)
def test_rows_come_back_from_any_dialect(
    tmp_path_factory, rows, separator, encoding, end, declared, comma, header, upper
):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator=end)
    writer.writerow([COLUMNS[k].upper() if upper else f" {COLUMNS[k]} " for k in header])
    for row in rows:
        cells = [f"{cell:.3f}".replace(".", "," if comma else ".") if isinstance(cell, float) else cell for cell in row]
        writer.writerow([cells[k] for k in header])
    path = tmp_path_factory.mktemp("any") / "t.csv"
    path.write_bytes(((f"sep={separator}{end}" if declared else "") + text.getvalue()).encode(encoding))
    assert read(path) == rows


@pytest.mark.parametrize(("text", "seconds"), [
    ("0", 0), ("75.5", 75.5), ("75,5", 75.5), (".5", 0.5), ("-1", -1), ("1,5E-02", 0.015),
    ("1:15", 75), ("1:15,5", 75.5), ("90:00", 5400), ("0:01:15.5", 75.5), ("100:00:00", 360000),
])  # fmt: skip
def test_times(text, seconds):
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "a", "nan", "inf", "1 5", "1.5 s", "1,234.5", "1_0", "1:60", "1:60:00", "0:0:1:12"]
)
def test_no_times(text):
    with pytest.raises(ValueError, match="is not a"):
        parse_seconds(text)


@pytest.mark.parametrize("text", ["1:15", "", "1,2,3"])
def test_no_numbers(text):
    with pytest.raises(ValueError, match="is not a number"):
        parse_number(text)


HEAD = "video,start,end,label\n"


@pytest.mark.parametrize(("text", "message"), [
    ("", r"t.csv: the first line must name the columns video, start, end, label; it lacks video. It is nothing; sep"),
    ("\nvideo begin end\nx", r"It is 'video begin end'; separators tried: a comma, a semicolon, a tab, a bar$"),
    ("sep=;\nvideo,start,end,label\n", r"It is 'video,start,end,label'; separators tried: a semicolon$"),
    ("video,start,stop,label\n", "it lacks end"),
    ("video,Video,start,end,label\n", "names the column video twice"),
    (HEAD + "v,1,2,a\nclip,1,5,3,25,wave\n", r"t.csv:3: 6 cells, but the first line names 4 columns; .* need quotes"),
    (HEAD + 'v,1,2,"a\nb"\nv,1,2,"c\nd,1,2,x\n', r"t.csv:4: a quote is not closed"),
    (HEAD + 'v,1,2,"a\nb"\nv,1,2,\n', r"t.csv:4: video, start, end, label must all be filled"),
    (HEAD + "v,1,x,a\n", r"t.csv:2: end 'x' is not a number"),
    (HEAD + "v,1,1:2:3:4,a\n", r"t.csv:2: end '1:2:3:4' is not a time: give seconds, mm:ss.s or h:mm:ss.s"),
    (HEAD + 'v,1.5,2,a\nv,1,"1,250",a\n', r"t.csv:3: '1,250' may be a thousand or have a decimal comma"),
])  # fmt: skip
def test_what_cannot_be_told_is_said(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(HasvideoError, match=message):
        read(tmp_path / "t.csv")


def test_windows_1252_is_said_with_a_word_to_check(tmp_path):
    (tmp_path / "t.csv").write_bytes(HEAD.encode() + "v,1,2,Grüße\n".encode("cp1252"))
    with pytest.warns(
        UserWarning, match="t.csv is not UTF-8 text; reading it as Windows-1252, with words such as v,1,2,G"
    ):
        assert read(tmp_path / "t.csv") == [("v", 1, 2, "Grüße")]
    (tmp_path / "t.csv").write_bytes(b"\xff\xfev\xd8\x00")
    with pytest.raises(HasvideoError, match="t.csv is not UTF-16 text"):
        read(tmp_path / "t.csv")
