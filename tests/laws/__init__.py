"""Laws: what holds for every program, wherever it is suspended and however it goes on."""
