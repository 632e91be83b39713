"""A model with its matrices stored in another way: llama-convert.py LIBRARIES MODEL OUT TYPE

What MODEL's own types mean is computed by llama.cpp's library, which also quantises it again.
"""
import sys

import gguf
import numpy

from ggml import Library, Type


def main():
    libraries, source, target, name = sys.argv[1:]
    library, reader, kind = Library(libraries), gguf.GGUFReader(source), Type[name]
    architecture = reader.get_field("general.architecture").contents()
    writer = gguf.GGUFWriter(target, architecture)
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name != "general.architecture":
            element = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), field.types[0], element)
    for tensor in reader.tensors:
        numbers = library.dequantise(Type(int(tensor.tensor_type)), numpy.ascontiguousarray(tensor.data))
        if numbers.ndim == 1:
            writer.add_tensor(tensor.name, numbers)
        else:
            writer.add_tensor(tensor.name, library.stored(kind, numbers), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main()
