from durations.__main__ import main


def test_the_command_prints_seconds(capsys):
    assert main(["1h", "30m"]) == 0
    assert capsys.readouterr().out == "5400\n"


def test_wrong_usage_is_explained(capsys):
    assert main(["soon"]) == 2
    assert "not a duration" in capsys.readouterr().err
