"""GGUF files in llama.cpp itself, without torch: the weights stay quantised."""
