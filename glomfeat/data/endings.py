"""How names of files end: images and slides, what is packed, and tables of numbers."""

from glomfeat.data.images.decode import SUFFIXES

SLIDES = (
    *(".svs", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".bif", ".svslide", ".qptiff", ".vsi", ".czi"),
    *(".isyntax", ".i2syntax", ".afi", ".btf", ".sld", ".ets", ".oir"),
)
PACKED = (".gz", ".bz2", ".xz", ".7z", ".rar")
_PICTURES = """
    .heic .heif .avif .jxl .jxr .psd .psb .xcf .ai .eps .svg .ppm .pgm .pnm .pbm .pam .tga .ico .exr .hdr .dds .fits
    .raw .dng .cr2 .cr3 .nef .arw .orf .lif .nd2 .oib .oif .lsm .zvi .ims .nii .nrrd .mha .mhd .mp4 .avi .mov .mpg .mkv
    .npy .npz .mat .pt .pth .pkl .pickle .h5ad .mcd .jls
"""
_OF_ROWS = ".h5 .hdf5 .zarr .parquet .feather .csv .tsv .txt .json .geojson .xml .xlsx .xls .safetensors .zip .tar"
PICTURES = frozenset([*SLIDES, *PACKED, *_PICTURES.split()])  # in formats that are not read
OF_FILES = frozenset([*SUFFIXES, *PICTURES, *_OF_ROWS.split()])
